<?php
/**
 * Options, themes and plugins: what may be on every page.
 *
 * @package staticify
 */

namespace Staticify;

defined( 'ABSPATH' ) || exit;

/**
 * WordPress's own options that pages depend on.
 */
const SITE_OPTIONS = array(
	'siteurl', 'home', 'blogname', 'blogdescription', 'blog_charset', 'blog_public', 'html_type', 'WPLANG', 'db_version',
	'date_format', 'time_format', 'timezone_string', 'gmt_offset', 'start_of_week',
	'permalink_structure', 'category_base', 'tag_base',
	'posts_per_page', 'posts_per_rss', 'rss_use_excerpt', 'show_on_front', 'page_on_front', 'page_for_posts',
	'wp_page_for_privacy_policy', 'wp_attachment_pages_enabled', 'default_post_format',
	'template', 'stylesheet', 'active_plugins', 'sidebars_widgets', 'site_icon', 'site_logo',
	'thread_comments', 'thread_comments_depth', 'page_comments', 'comments_per_page', 'default_comments_page',
	'comment_order', 'comment_registration', 'require_name_email', 'show_comments_cookies_opt_in',
	'close_comments_for_old_posts', 'close_comments_days_old', 'users_can_register',
	'show_avatars', 'avatar_default', 'avatar_rating', 'use_smilies', 'link_manager_enabled', 'embed_autourls',
	'thumbnail_size_w', 'thumbnail_size_h', 'thumbnail_crop', 'medium_size_w', 'medium_size_h', 'medium_large_size_w',
	'medium_large_size_h', 'large_size_w', 'large_size_h', 'image_default_link_type', 'upload_path', 'upload_url_path',
);

/**
 * May every page depend on this option?
 *
 * @param string $name Its name.
 */
function is_site_option( string $name ): bool {
	static $exact = null;
	if ( null === $exact ) {
		$exact = array_fill_keys( SITE_OPTIONS, true );
	}
	if ( isset( $exact[ $name ] ) || 0 === strpos( $name, 'widget_' ) ) {
		return true;
	}
	if ( 'theme_mods_' . get_option( 'stylesheet' ) === $name ) {
		return true;
	}
	return ! isset( OTHER_OPTIONS[ $name ] ) && ! preg_match( '/\A(?:_transient_|_site_transient_|staticify)|_children\z/', $name ) && is_saved_setting( $name );
}

/**
 * Commands of WP-CLI whose subjects are told by their own hooks; WordPress keeps book of them in options.
 */
const COMMANDS_OF_CONTENT = array(
	'cache', 'comment', 'core', 'cron', 'db', 'embed', 'export', 'import', 'language', 'maintenance-mode', 'media', 'menu',
	'plugin', 'post', 'post-type', 'rewrite', 'role', 'sidebar', 'site', 'super-admin', 'taxonomy', 'term', 'theme',
	'transient', 'user', 'widget',
);

/**
 * Does somebody save this option by hand just now: on a settings screen, by the REST API, or on the command line? Which
 * options of a plugin are on pages nobody knows; those may be.
 *
 * @param string $name Its name.
 */
function is_saved_setting( string $name ): bool {
	if ( wp_doing_cron() ) {
		return false;
	}
	if ( defined( 'WP_CLI' ) && WP_CLI ) {
		return ! in_array( \WP_CLI::get_runner()->arguments[0] ?? '', COMMANDS_OF_CONTENT, true );
	}
	// Registered is what a settings screen has, or the REST API.
	if ( isset( get_registered_settings()[ $name ] ) && function_exists( 'current_user_can' ) && current_user_can( 'manage_options' ) ) {
		return true;
	}
	// phpcs:disable WordPress.Security -- looked at only.
	$screen = basename( (string) ( $_SERVER['SCRIPT_NAME'] ?? '' ) );
	if ( ! is_admin() || 'POST' !== ( $_SERVER['REQUEST_METHOD'] ?? '' ) ) {
		return false;
	}
	if ( 'options.php' !== $screen && ( ! isset( $_REQUEST['page'] ) || in_array( $screen, array( 'admin-ajax.php', 'admin-post.php', 'post.php' ), true ) ) ) {
		return false;
	}
	// phpcs:enable
	return true;
}

/**
 * Options that a settings screen saves, or WordPress along with them, and that no page shows.
 */
const OTHER_OPTIONS = array(
	'cron'                      => true,
	'rewrite_rules'             => true,
	'recently_edited'           => true,
	'recently_activated'        => true,
	'admin_email'               => true,
	'new_admin_email'           => true,
	'adminhash'                 => true,
	'default_role'              => true,
	'default_category'          => true,
	'default_email_category'    => true,
	'default_link_category'     => true,
	'default_comment_status'    => true,
	'default_ping_status'       => true,
	'default_pingback_flag'     => true,
	'comment_moderation'        => true,
	'comment_max_links'         => true,
	'comment_previously_approved' => true,
	'comments_notify'           => true,
	'moderation_notify'         => true,
	'moderation_keys'           => true,
	'disallowed_keys'           => true,
	'ping_sites'                => true,
	'mailserver_url'            => true,
	'mailserver_login'          => true,
	'mailserver_pass'           => true,
	'mailserver_port'           => true,
	'uploads_use_yearmonth_folders' => true,
	'fresh_site'                => true,
	'user_count'                => true,
	'auto_core_update_notified' => true,
	'recovery_keys'             => true,
	'https_detection_errors'    => true,
);

/**
 * An option has changed.
 *
 * @param string $name Its name.
 */
function tell_option( $name ): void {
	if ( is_site_option( (string) $name ) && ! ( is_looking() && did_action( 'wp' ) ) ) {
		Changes::add( array( 'site' ) );
	}
}
add_action( 'updated_option', __NAMESPACE__ . '\tell_option' );
add_action( 'added_option', __NAMESPACE__ . '\tell_option' );
add_action( 'deleted_option', __NAMESPACE__ . '\tell_option' );

/**
 * Something that shapes every page has changed.
 */
function tell_site(): void {
	Changes::add( array( 'site' ) );
}
foreach ( array( 'switch_theme', 'activated_plugin', 'deactivated_plugin', 'upgrader_process_complete', '_core_updated_successfully', 'permalink_structure_changed', 'add_link', 'edit_link', 'deleted_link' ) as $staticify_action ) {
	add_action( $staticify_action, __NAMESPACE__ . '\tell_site', 10, 0 );
}
unset( $staticify_action );
