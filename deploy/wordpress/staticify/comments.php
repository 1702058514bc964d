<?php
/**
 * Comments, as far as everybody sees them: one that awaits moderation is no event.
 *
 * @package staticify
 */

namespace Staticify;

defined( 'ABSPATH' ) || exit;

/**
 * A comment that everybody sees, or saw, has changed.
 *
 * @param \WP_Comment $comment The comment.
 */
function tell_comment( \WP_Comment $comment ): void {
	$post   = (int) $comment->comment_post_ID;
	$status = get_post_status_object( (string) get_post_status( $post ) );
	if ( $status && $status->public ) {
		Changes::add( array_merge( array( "comments:$post" ), tags_of_latest_comments( (string) $comment->comment_date_gmt ) ) );
	}
}

/**
 * The lists of the site's latest comments that reach back to a comment.
 *
 * @param string $date When it was written (GMT).
 * @return string[]
 */
function tags_of_latest_comments( string $date ): array {
	global $wpdb;
	// Only those that every such list has: some leave out pings, most what belongs to a post that is not public.
	// phpcs:disable WordPress.DB -- a small question that an index answers.
	$rank = (int) $wpdb->get_var(
		$wpdb->prepare(
			"SELECT COUNT(*) FROM (
			SELECT 1 FROM $wpdb->comments JOIN $wpdb->posts ON ID = comment_post_ID
			WHERE comment_approved = '1' AND comment_type IN ('', 'comment') AND post_status = 'publish'
			AND comment_date_gmt > %s LIMIT %d) AS newer",
			$date,
			max( WINDOWS )
		)
	);
	// phpcs:enable
	$tags = array( 'comments' );
	foreach ( WINDOWS as $window ) {
		if ( $rank < $window ) {
			$tags[] = "comments:first/$window";
		}
	}
	return $tags;
}

/**
 * The same for all comments of a post.
 *
 * @param int $post The post's number.
 * @return string[]
 */
function tags_of_comments_of( int $post ): array {
	global $wpdb;
	// phpcs:ignore WordPress.DB -- a small question that an index answers.
	$newest = $wpdb->get_var( $wpdb->prepare( "SELECT MAX(comment_date_gmt) FROM $wpdb->comments WHERE comment_post_ID = %d AND comment_approved NOT IN ('0', 'spam', 'trash')", $post ) );
	return array_merge( array( "comments:$post" ), $newest ? tags_of_latest_comments( $newest ) : array( 'comments', 'comments:first/5', 'comments:first/10', 'comments:first/20', 'comments:first/50' ) );
}

/**
 * Does everybody see this comment?
 *
 * @param \WP_Comment $comment A comment.
 */
function is_public_comment( \WP_Comment $comment ): bool {
	return '1' === (string) $comment->comment_approved;
}

add_action(
	'wp_insert_comment',
	static function ( $id, $comment ) {
		if ( is_public_comment( $comment ) ) {
			tell_comment( $comment );
		}
	},
	10,
	2
);
// An edit may move a comment in the lists: out of where it was, into where it is.
add_filter(
	'wp_update_comment_data',
	static function ( $data, $before ) {
		$comment = get_comment( $before['comment_ID'] ?? 0 );
		if ( $comment && is_public_comment( $comment ) ) {
			tell_comment( $comment );
		}
		return $data;
	},
	10,
	2
);
add_action(
	'edit_comment',
	static function ( $id ) {
		$comment = get_comment( $id );
		if ( $comment && is_public_comment( $comment ) ) {
			tell_comment( $comment );
		}
	}
);
add_action(
	'transition_comment_status',
	static function ( $new_status, $old_status, $comment ) {
		if ( $new_status !== $old_status && in_array( 'approved', array( $new_status, $old_status ), true ) ) {
			tell_comment( $comment );
		}
	},
	10,
	3
);
add_action(
	'wp_update_comment_count',
	static function ( $post, $new_count, $old_count ) {
		$status = get_post_status_object( (string) get_post_status( $post ) );
		if ( (int) $new_count !== (int) $old_count && $status && $status->public ) {
			Changes::add( array( "count:$post" ) );
		}
	},
	10,
	3
);
/**
 * WordPress writes how many comments a post has, and cleans the post's cache for it.
 *
 * @param bool|null $is From now on, or no more; only asked if null.
 */
function is_counting_comments( ?bool $is = null ): bool {
	static $is_counting = false;
	$is_counting        = $is ?? $is_counting;
	return $is_counting;
}
add_filter(
	'pre_wp_update_comment_count_now',
	static function ( $count ) {
		is_counting_comments( true );
		return $count;
	},
	PHP_INT_MAX
);
add_action(
	'wp_update_comment_count',
	static function () {
		is_counting_comments( false );
	},
	PHP_INT_MIN
);

/**
 * A meta field has changed.
 *
 * @param mixed  $unused Numbers of fields.
 * @param int    $id     The comment's number.
 * @param string $key    The field's name.
 * @return bool May it be on a page?
 */
function change_comment_meta( $unused, $id, $key ): bool {
	$comment = $id ? get_comment( (int) $id ) : null;
	if ( ! $comment || ! is_public_comment( $comment ) || is_looking() || preg_match( '/\A(?:_wp_trash_|akismet_)/', (string) $key ) ) {
		return false;
	}
	tell_comment( $comment );
	return true;
}
foreach ( array( 'added', 'updated', 'deleted' ) as $staticify_verb ) {
	add_action( "{$staticify_verb}_comment_meta", __NAMESPACE__ . '\change_comment_meta', 10, 3 );
}
unset( $staticify_verb );
