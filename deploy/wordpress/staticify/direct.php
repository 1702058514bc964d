<?php
/**
 * The endpoint once more, for who asks this file itself: with WordPress's SHORTINIT, which loads a seventh of its files.
 *
 * PROTOCOL.md says how staticify comes to know the address. Where anything is not as it should be, this file does not
 * answer, and staticify asks the other way.
 *
 * @package staticify
 */

namespace Staticify;

// A stranger makes it load nothing.
if ( defined( 'ABSPATH' ) || 'POST' !== ( $_SERVER['REQUEST_METHOD'] ?? '' ) || empty( $_SERVER['HTTP_WEBHOOK_SIGNATURE'] ) ) {
	http_response_code( 401 );
	exit;
}
// As the web server found it: __DIR__ would lead away from WordPress if this folder were a symbolic link. A constant,
// because wp-config.php may use any variable.
// phpcs:ignore WordPress.Security.ValidatedSanitizedInput -- the web server's own.
define( __NAMESPACE__ . '\PLUGINS', dirname( $_SERVER['SCRIPT_FILENAME'] ?? '', 2 ) );
if ( ! is_file( dirname( PLUGINS, 2 ) . '/wp-load.php' ) ) {
	http_response_code( 404 );
	exit;
}
define( 'SHORTINIT', true ); // phpcs:ignore WordPress.NamingConventions -- WordPress's own.
require dirname( PLUGINS, 2 ) . '/wp-load.php';

require_once __DIR__ . '/settings.php';
require_once __DIR__ . '/cron.php';
require_once __DIR__ . '/signature.php';
require_once __DIR__ . '/journal.php';
require_once __DIR__ . '/endpoint.php';

if ( is_multisite() || ! is_plugin_loaded( PLUGINS ) ) {
	answer( 404, array( 'error' => 'WordPress does not load the plugin from here' ) );
}
try {
	answer_changes();
} catch ( NeedsWordPress $error ) {
	answer( 404, array( 'error' => 'the journal is not made yet' ) );
}
