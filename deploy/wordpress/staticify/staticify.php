<?php
/**
 * Plugin Name:       staticify
 * Description:       Tells the page cache staticify what changed, what its pages are made of, and nothing to anybody else.
 * Version:           0.3.0
 * Requires at least: 5.9
 * Requires PHP:      7.4
 * License:           MIT
 * Text Domain:       staticify
 *
 * @package staticify
 */

namespace Staticify;

defined( 'ABSPATH' ) || exit;

// It may be there twice, as a must-use plugin and as an ordinary one: the first counts.
if ( defined( 'STATICIFY_PLUGIN' ) ) {
	return;
}
define( 'STATICIFY_PLUGIN', __FILE__ );

require_once __DIR__ . '/settings.php';
require_once __DIR__ . '/cron.php';
require_once __DIR__ . '/signature.php';
require_once __DIR__ . '/journal.php';

// phpcs:ignore WordPress.Security.NonceVerification -- the signature is the proof.
if ( isset( $_GET['staticify'] ) && 'changes' === $_GET['staticify'] ) {
	require_once __DIR__ . '/endpoint.php';
	answer_changes();
}

// While WordPress makes its tables there is nothing to tell, and nowhere to write it.
if ( wp_installing() ) {
	return;
}

require_once __DIR__ . '/tags.php';
require_once __DIR__ . '/changes.php';
require_once __DIR__ . '/webhook.php';
require_once __DIR__ . '/posts.php';
require_once __DIR__ . '/terms.php';
require_once __DIR__ . '/users.php';
require_once __DIR__ . '/comments.php';
require_once __DIR__ . '/menus.php';
require_once __DIR__ . '/options.php';
require_once __DIR__ . '/reader.php';

if ( is_render() ) {
	// WordPress would ask itself for wp-cron.php here and hold cron's lock for a minute, whether that request came
	// through or not. staticify asks for it when an event is due.
	remove_action( 'init', 'wp_cron' );
	require_once __DIR__ . '/lists.php';
	require_once __DIR__ . '/labels.php';
	Labels::start();
}
if ( wp_doing_cron() ) {
	add_action( 'wp_loaded', __NAMESPACE__ . '\remember_scheduled_posts' );
}
if ( is_admin() ) {
	require_once __DIR__ . '/admin.php';
	require_once __DIR__ . '/health.php';
}
if ( defined( 'WP_CLI' ) && WP_CLI ) {
	require_once __DIR__ . '/cli.php';
}
require_once __DIR__ . '/bar.php';
