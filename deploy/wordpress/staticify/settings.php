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
