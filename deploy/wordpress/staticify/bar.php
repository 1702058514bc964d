<?php
/**
 * The admin bar's entry "Refresh this page".
 *
 * @package staticify
 */

namespace Staticify;

defined( 'ABSPATH' ) || exit;

/** Who may have a page rendered anew. */
const REFRESH_CAPABILITY = 'edit_others_posts';

/**
 * Have pages rendered anew.
 *
 * @param array<string,mixed> $what urls, tags, all.
 * @return string What staticify says.
 */
function purge( array $what ): string {
	$data = $what + array(
		'site' => site_url_of_pages(),
		'urls' => array(),
		'tags' => array(),
		'all'  => false,
	);
	return send( '/purge', 'purge', $data, 3, true );
}

/**
 * The address of the page that is being looked at, without its query.
 */
function address_of_this_page(): string {
	// phpcs:ignore WordPress.Security.ValidatedSanitizedInput -- escaped where it is shown.
	$path = strtok( (string) wp_unslash( $_SERVER['REQUEST_URI'] ?? '/' ), '?' );
	$home = wp_parse_url( home_url() );
	$port = isset( $home['port'] ) ? ":{$home['port']}" : '';
	return "{$home['scheme']}://{$home['host']}$port$path";
}

add_action(
	'admin_bar_menu',
	static function ( $bar ) {
		if ( is_admin() || ! current_user_can( REFRESH_CAPABILITY ) || '' === address() || ! keys() ) {
			return;
		}
		$query = array(
			'action' => 'staticify_refresh',
			'url'    => rawurlencode( address_of_this_page() ),
		);
		$bar->add_node(
			array(
				'id'    => 'staticify',
				'title' => esc_html__( 'Refresh this page', 'staticify' ),
				'href'  => wp_nonce_url( add_query_arg( $query, admin_url( 'admin-post.php' ) ), 'staticify_refresh' ),
			)
		);
	},
	90
);
add_action(
	'admin_post_staticify_refresh',
	static function () {
		check_admin_referer( 'staticify_refresh' );
		if ( ! current_user_can( REFRESH_CAPABILITY ) ) {
			wp_die( esc_html__( 'You may not refresh pages.', 'staticify' ), '', array( 'response' => 403 ) );
		}
		$url = isset( $_GET['url'] ) ? esc_url_raw( wp_unslash( $_GET['url'] ) ) : '';
		// Pages of this site only, and back to nowhere else.
		$url    = wp_validate_redirect( $url, home_url( '/' ) );
		$answer = purge( array( 'urls' => array( $url ) ) );
		if ( 0 !== strpos( $answer, '2' ) ) {
			/* translators: %s: an HTTP status, or a reason. */
			wp_die( esc_html( sprintf( __( 'staticify says: %s', 'staticify' ), $answer ) ), '', array( 'response' => 502, 'back_link' => true ) );
		}
		wp_safe_redirect( $url );
		exit;
	}
);
