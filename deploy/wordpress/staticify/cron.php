<?php
/**
 * WP-Cron: when it is to be turned next, and posts that it has forgotten.
 *
 * WordPress keeps its events in one option. Two requests that change it at once each write what they have read before,
 * so an event is lost now and then; a post whose event it was is never published ("Missed schedule").
 *
 * @package staticify
 */

namespace Staticify;

defined( 'ABSPATH' ) || exit;

/** For so long a post that is still not published is a reason of its own to turn cron: some never are to be. */
const OVERDUE_SECONDS = 300;

/** What was to be published longer ago is left to its author, who may have come to terms with it. */
const FORGOTTEN_SECONDS = 86400;

/**
 * The time stamp at which WP-Cron has something to do next, or null: there is nothing, or somebody else turns it.
 */
function cron_due_at(): ?int {
	$is_elsewhere = defined( 'DISABLE_WP_CRON' ) && DISABLE_WP_CRON;
	if ( $is_elsewhere && ! setting( 'run_cron' ) ) {
		return null;
	}
	return next_event_at();
}

/**
 * The time stamp of the next event of WP-Cron or the next scheduled post, which should have one; or null.
 */
function next_event_at(): ?int {
	// Not by _get_cron_array(), which SHORTINIT does not load; beside the events there is a version number.
	$due = array_keys( array_filter( (array) get_option( 'cron' ), 'is_array' ) );
	foreach ( scheduled_posts( time() - OVERDUE_SECONDS ) as $post ) {
		$due[] = strtotime( "$post->post_date_gmt UTC" );
	}
	return $due ? (int) min( $due ) : null;
}

/**
 * See to it that posts whose time has come have an event: for wp-cron.php, before it looks which events are due.
 */
function remember_scheduled_posts(): void {
	foreach ( scheduled_posts( time() - FORGOTTEN_SECONDS ) as $post ) {
		$is_due = strtotime( "$post->post_date_gmt UTC" ) <= time();
		// Calendars keep what is to come as it is: they take WordPress's own hook away.
		$is_to_be_published = has_action( "future_$post->post_type", '_future_post_hook' );
		$event              = array( 'publish_future_post', array( (int) $post->ID ) );
		if ( $is_due && $is_to_be_published && ! wp_next_scheduled( ...$event ) ) {
			// After what is due already: one whose publishing ends cron would come first each time.
			wp_schedule_single_event( time(), ...$event );
		}
	}
}

/**
 * The posts that are scheduled for later than a moment, and within about two days from now; the next ones first.
 *
 * @param int $since The moment.
 * @return object[] Each with ID, post_type and post_date_gmt.
 */
function scheduled_posts( int $since ): array {
	global $wpdb;
	// phpcs:disable WordPress.DB -- types are not registered yet where cron's next turn is asked for, and may be another plugin's.
	// What it refuses would stand before the journal's answer where errors are shown.
	$suppressed = $wpdb->suppress_errors();
	// All types by name, of which the index (type, status, date) gives each at once: 0.2 ms for 100,000 posts; with a
	// subquery in their place MariaDB reads every post (92 ms), without types as well (31 ms).
	$types      = $wpdb->get_col( "SELECT DISTINCT post_type FROM $wpdb->posts" );
	// The index has local time, a day away from the other at most. Who schedules thousands has few for the next two days.
	$between    = array( gmdate( 'Y-m-d H:i:s', $since - DAY_IN_SECONDS ), gmdate( 'Y-m-d H:i:s', time() + 2 * DAY_IN_SECONDS ) );
	$places     = implode( ', ', array_fill( 0, count( $types ), '%s' ) );
	$posts      = $types ? $wpdb->get_results(
		$wpdb->prepare(
			"SELECT ID, post_type, post_date_gmt FROM $wpdb->posts WHERE post_type IN ( $places )
			AND post_status = 'future' AND post_date BETWEEN %s AND %s AND post_date_gmt > %s
			ORDER BY post_date_gmt LIMIT 100",
			array( ...$types, ...$between, gmdate( 'Y-m-d H:i:s', $since ) )
		)
	) : array();
	$wpdb->suppress_errors( $suppressed );
	return (array) $posts;
	// phpcs:enable
}
