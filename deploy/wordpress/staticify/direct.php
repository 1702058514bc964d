<?php
/**
 * The endpoint once more, for who asks this file itself: with WordPress's SHORTINIT, which loads a tenth of it.
 *
 * PROTOCOL.md says how staticify comes to know the address. Where anything is not as it should be, this file does not
 * answer, and staticify asks the other way.
 *
 * @package staticify
 */

namespace Staticify;

// As the web server found it: __DIR__ would lead away from WordPress if this folder were a symbolic link.
// phpcs:ignore WordPress.Security.ValidatedSanitizedInput -- the web server's own.
$plugins = dirname( $_SERVER['SCRIPT_FILENAME'] ?? '', 2 );
$load    = dirname( $plugins, 2 ) . '/wp-load.php';
if ( defined( 'ABSPATH' ) || ! is_file( $load ) ) {
	http_response_code( 404 );
	exit;
}
define( 'SHORTINIT', true ); // phpcs:ignore WordPress.NamingConventions -- WordPress's own.
require $load;

require_once __DIR__ . '/settings.php';
require_once __DIR__ . '/signature.php';
require_once __DIR__ . '/journal.php';
require_once __DIR__ . '/endpoint.php';

if ( ! is_plugin_loaded( $plugins ) ) {
	answer( 404, array( 'error' => 'WordPress does not load the plugin from here' ) );
}
try {
	answer_changes();
} catch ( NeedsWordPress $error ) {
	answer( 404, array( 'error' => 'the journal is not made yet' ) );
}
