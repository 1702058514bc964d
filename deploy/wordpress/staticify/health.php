<?php
/**
 * Site Health: is there a secret, does staticify answer, do pages have addresses of their own?
 *
 * @package staticify
 */

namespace Staticify;

defined( 'ABSPATH' ) || exit;

add_filter(
	'site_status_tests',
	static function ( $tests ) {
		$tests['direct']['staticify'] = array(
			'label' => 'staticify',
			'test'  => __NAMESPACE__ . '\health',
		);
		return $tests;
	}
);

/**
 * The first thing that is wrong, or nothing.
 */
function fault_of_setup(): string {
	if ( ! keys() ) {
		return __( 'There is no secret. staticify renders every page at each interval, as if the plugin were not there.', 'staticify' );
	}
	if ( ! get_option( 'permalink_structure' ) ) {
		return __( 'Permalinks are plain: addresses with a question mark cannot be pages of staticify.', 'staticify' );
	}
	if ( '' === address() ) {
		return __( 'There is no address of staticify. Changes wait for its next look at the journal.', 'staticify' );
	}
	if ( ! can_let_go() && is_to_be_resolved( address() ) ) {
		/* translators: %s: an address. */
		return sprintf( __( 'PHP cannot end its answer before it tells staticify, so editors would wait for the name in %s to be looked up, and nothing is told. Give the IP address instead, localhost, or unix:/PATH. Changes wait for staticify\'s next look at the journal.', 'staticify' ), address() );
	}
	$answer = post( '/healthz', array( 'Connection' => 'close' ), '', 1, true );
	if ( 0 !== strpos( $answer, '200' ) ) {
		/* translators: 1: an address, 2: an HTTP status or a reason. */
		return sprintf( __( 'staticify does not answer at %1$s: %2$s', 'staticify' ), address(), $answer );
	}
	return '';
}

/**
 * The result, in the form that Site Health wants.
 *
 * @return array<string,mixed>
 */
function health(): array {
	$fault = fault_of_setup();
	return array(
		'label'       => '' === $fault ? __( 'staticify hears what changes', 'staticify' ) : __( 'staticify does not hear what changes', 'staticify' ),
		'status'      => '' === $fault ? 'good' : 'recommended',
		'badge'       => array(
			'label' => __( 'Performance', 'staticify' ),
			'color' => 'blue',
		),
		'description' => '<p>' . esc_html( '' === $fault ? __( 'The secret is there and staticify answers.', 'staticify' ) : $fault ) . '</p>',
		'actions'     => sprintf( '<a href="%s">%s</a>', esc_url( admin_url( 'options-general.php?page=staticify' ) ), esc_html__( 'Settings', 'staticify' ) ),
		'test'        => 'staticify',
	);
}
