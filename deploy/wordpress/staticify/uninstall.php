<?php
/**
 * Takes the table and the options away when the plugin is deleted in wp-admin.
 *
 * @package staticify
 */

defined( 'WP_UNINSTALL_PLUGIN' ) || exit;

foreach ( is_multisite() ? get_sites( array( 'fields' => 'ids', 'number' => 0 ) ) : array( 0 ) as $staticify_blog ) {
	if ( $staticify_blog ) {
		switch_to_blog( $staticify_blog );
	}
	global $wpdb;
	// phpcs:ignore WordPress.DB -- a table of our own.
	$wpdb->query( "DROP TABLE IF EXISTS `{$wpdb->prefix}staticify_journal`" );
	foreach ( array( 'staticify', 'staticify_journal', 'staticify_delivery' ) as $staticify_option ) {
		delete_option( $staticify_option );
	}
	if ( $staticify_blog ) {
		restore_current_blog();
	}
}
