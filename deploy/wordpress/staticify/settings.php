<?php
/**
 * Settings: a constant in wp-config.php counts before what the settings screen has saved.
 *
 * @package staticify
 */

namespace Staticify;

defined( 'ABSPATH' ) || exit;

/** The option of the settings screen. */
const OPTION = 'staticify';

/**
 * Which constant stands before which setting.
 */
const CONSTANTS = array(
	'address'  => 'STATICIFY_ADDRESS',
	'secret'   => 'STATICIFY_SECRET',
	'run_cron' => 'STATICIFY_RUN_CRON',
	'reader'   => 'STATICIFY_READER',
);

/**
 * Does a constant in wp-config.php stand before this setting?
 *
 * @param string $name A key of CONSTANTS.
 */
function is_constant( string $name ): bool {
	return defined( CONSTANTS[ $name ] );
}

/**
 * The value that counts.
 *
 * @param string $name A key of CONSTANTS.
 * @return mixed
 */
function setting( string $name ) {
	if ( is_constant( $name ) ) {
		return constant( CONSTANTS[ $name ] );
	}
	$saved = get_option( OPTION );
	return is_array( $saved ) && isset( $saved[ $name ] ) ? $saved[ $name ] : '';
}

/**
 * Where staticify listens: "http://HOST:PORT", "unix:/PATH", or nothing.
 */
function address(): string {
	return rtrim( trim( (string) setting( 'address' ) ), '/' );
}

/**
 * Do pages get the script for readers who are logged in, or have commented? Yes, unless somebody says no.
 */
function is_reader_wanted(): bool {
	$wanted = setting( 'reader' );
	return '' === $wanted || $wanted;
}

/**
 * The time stamp of the next event of WP-Cron, or null: there is none, or somebody else turns it.
 */
function cron_due_at(): ?int {
	$is_elsewhere = defined( 'DISABLE_WP_CRON' ) && DISABLE_WP_CRON;
	if ( $is_elsewhere && ! setting( 'run_cron' ) ) {
		return null;
	}
	return next_event_at();
}

/**
 * The time stamp of the next event of WP-Cron, or null.
 */
function next_event_at(): ?int {
	// Not by _get_cron_array(), which SHORTINIT does not load; beside the events there is a version number.
	$events = array_filter( (array) get_option( 'cron' ), 'is_array' );
	return $events ? (int) min( array_keys( $events ) ) : null;
}
