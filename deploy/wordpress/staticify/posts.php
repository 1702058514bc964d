<?php
/**
 * Posts of every type: how one is, and what it means that it is another way now.
 *
 * @package staticify
 */

namespace Staticify;

defined( 'ABSPATH' ) || exit;

/** A page with more descendants than this moves the whole site. */
const MAX_DESCENDANTS = 500;

/**
 * How a post is; null if it is not there, or on no page.
 *
 * @param int $id Its number.
 * @return array<string,mixed>|null
 */
function post_snapshot( int $id ): ?array {
	$post = get_post( $id );
	if ( ! $post || isset( INTERNAL_TYPES[ $post->post_type ] ) ) {
		return null;
	}
	return post_snapshot_of( $post, $post->post_status );
}

/**
 * How a post is, or was.
 *
 * @param \WP_Post $post   The post.
 * @param string   $status Its status, which may be another one than it has now.
 * @return array<string,mixed>
 */
function post_snapshot_of( \WP_Post $post, string $status ): array {
	$state      = get_post_status_object( 'inherit' === $status ? (string) get_post_status( $post ) : $status );
	// A picture is shown wherever somebody put it; a page of its own it has if its post has one.
	$is_visible = 'inherit' === $status || ( $state && $state->public );
	$snapshot   = array(
		'type'       => $post->post_type,
		'slug'       => $post->post_name,
		'is_visible' => $is_visible,
	);
	if ( ! $is_visible ) {
		return $snapshot;
	}
	$is_protected = '' !== $post->post_password;
	$type         = get_post_type_object( $post->post_type );
	$is_page      = $type && is_post_type_viewable( $type ) && $state && $state->public;
	$snapshot    += array(
		'is_page'      => $is_page,
		'is_protected' => $is_protected,
		'url'          => $is_page ? (string) get_permalink( $post ) : '',
		'pages'        => 1 + substr_count( $post->post_content, '<!--nextpage-->' ),
		'title'        => $post->post_title,
		'date'         => $post->post_date,
		'author'       => (int) $post->post_author,
		'parent'       => (int) $post->post_parent,
		'order'        => (int) $post->menu_order,
		'is_sticky'    => is_sticky( $post->ID ),
		'terms'        => terms_of( $post ),
		'comments'     => (int) $post->comment_count,
		'name'         => md5( "$status\n$post->post_title\n$post->post_password\n$post->post_name" ),
		'body'         => md5( "$post->post_content\n$post->post_excerpt\n$post->comment_status $post->ping_status $post->post_mime_type $post->guid $post->post_modified_gmt" ),
		'descendants'  => $is_page && is_post_type_hierarchical( $post->post_type ) ? descendants_of( $post ) : array(),
	);
	return $snapshot;
}

/**
 * The terms of a post, of all taxonomies: number => taxonomy.
 *
 * @param \WP_Post $post The post.
 * @return array<int,string>
 */
function terms_of( \WP_Post $post ): array {
	$taxonomies = array_values(
		array_filter(
			get_object_taxonomies( $post->post_type ),
			static function ( $name ) {
				return ! isset( INTERNAL_TAXONOMIES[ $name ] );
			}
		)
	);
	$terms      = $taxonomies ? wp_get_object_terms( $post->ID, $taxonomies, array( 'update_term_meta_cache' => false ) ) : array();
	$found      = array();
	foreach ( is_array( $terms ) ? $terms : array() as $term ) {
		$found[ $term->term_id ] = $term->taxonomy;
	}
	ksort( $found );
	return $found;
}

/**
 * The addresses of the published pages below a page: number => address. They follow its own.
 *
 * @param \WP_Post $post The page.
 * @return array<int,string>
 */
function descendants_of( \WP_Post $post ): array {
	global $wpdb;
	$found  = array();
	$parent = array( $post->ID );
	while ( $parent && count( $found ) <= MAX_DESCENDANTS ) {
		$numbers = implode( ',', array_map( 'intval', $parent ) );
		// phpcs:ignore WordPress.DB -- numbers only.
		$parent = $wpdb->get_col( $wpdb->prepare( "SELECT ID FROM $wpdb->posts WHERE post_parent IN ($numbers) AND post_type = %s AND post_status NOT IN ('auto-draft', 'trash')", $post->post_type ) );
		_prime_post_caches( $parent, false, false );
		foreach ( $parent as $id ) {
			if ( 'publish' === get_post_status( $id ) ) {
				$found[ (int) $id ] = (string) get_permalink( (int) $id );
			}
		}
		$parent = array_diff( $parent, array( $post->ID ) );
	}
	return $found;
}

/**
 * Say what the difference between two snapshots of a post means.
 *
 * @param int                      $id     Its number.
 * @param array<string,mixed>|null $before How it was.
 * @param array<string,mixed>|null $after  How it is.
 */
function tell_post( int $id, ?array $before, ?array $after ): void {
	if ( $before === $after ) {
		return;
	}
	$was = $before && $before['is_visible'];
	$is  = $after && $after['is_visible'];
	if ( ! $was && ! $is ) {
		return;
	}
	$type = $is ? $after['type'] : $before['type'];
	if ( isset( SITE_TYPES[ $type ] ) ) {
		Changes::add( array( 'site' ) );
		return;
	}
	if ( isset( TEMPLATE_TYPES[ $type ] ) ) {
		foreach ( array_filter( array( $was ? $before['slug'] : '', $is ? $after['slug'] : '' ) ) as $slug ) {
			Changes::add( array( "template:$slug" ) );
		}
		return;
	}

	$tags = array( "post:$id", "list:$type/any" );
	$is_named_anew = ! $was || ! $is;
	foreach ( array( 'name', 'url', 'date', 'author', 'parent', 'order' ) as $what ) {
		$is_named_anew = $is_named_anew || $before[ $what ] !== $after[ $what ];
	}
	if ( $is_named_anew ) {
		$tags[] = "name:$id";
	}
	if ( ! $was || ! $is ) {
		$there = $is ? $after : $before;
		$tags  = array_merge( $tags, tags_of_lists( $id, $there ), tags_of_neighbours( $id, $there ), array( 'users' ) );
		if ( $there['comments'] ) {
			$tags = array_merge( $tags, tags_of_comments_of( $id ) );
		}
	} elseif ( $before['date'] !== $after['date'] || $before['type'] !== $after['type'] ) {
		$tags = array_merge( $tags, tags_of_lists( $id, $before ), tags_of_lists( $id, $after ), tags_of_neighbours( $id, $before ), tags_of_neighbours( $id, $after ) );
		array_push( $tags, "near:$id", "list:{$before['type']}/any" );
	} elseif ( $before['is_protected'] !== $after['is_protected'] ) {
		$tags = array_merge( $tags, tags_of_lists( $id, $after ) );
		if ( $after['comments'] ) {
			$tags = array_merge( $tags, tags_of_comments_of( $id ) );
		}
	}
	if ( $was && $is ) {
		if ( $before['is_sticky'] !== $after['is_sticky'] ) {
			$tags[] = "list:$type";
		}
		if ( $before['order'] !== $after['order'] || $before['parent'] !== $after['parent'] ) {
			array_push( $tags, "list:$type", "list:$type/parent:{$before['parent']}", "list:$type/parent:{$after['parent']}" );
		}
		if ( $before['author'] !== $after['author'] ) {
			array_push( $tags, "list:$type/user:{$before['author']}", "list:$type/user:{$after['author']}", 'users' );
		}
		$tags = array_merge( $tags, tags_of_terms( $type, array_diff_key( $before['terms'], $after['terms'] ) + array_diff_key( $after['terms'], $before['terms'] ) ) );
	}

	$old  = $was && $before['is_page'] && ! $before['is_protected'] ? addresses_of( $before ) : array();
	$new  = $is && $after['is_page'] && ! $after['is_protected'] ? addresses_of( $after ) : array();
	$urls = 'attachment' === $type ? array() : array_slice( $new, 0, 1 );
	Changes::add( $tags, $urls, array_diff( $old, $new ) );
	tell_descendants( $was ? $before['descendants'] : array() );
}

/**
 * A post's address, and those of its further pages.
 *
 * @param array<string,mixed> $snapshot How it is.
 * @return string[]
 */
function addresses_of( array $snapshot ): array {
	$addresses = array( $snapshot['url'] );
	if ( false === strpos( $snapshot['url'], '?' ) ) {
		for ( $page = 2; $page <= min( $snapshot['pages'], 50 ); $page++ ) {
			$addresses[] = user_trailingslashit( trailingslashit( $snapshot['url'] ) . $page, 'single_paged' );
		}
	}
	return $addresses;
}

/**
 * The pages below a page have moved with it, perhaps.
 *
 * @param array<int,string> $before Their addresses.
 */
function tell_descendants( array $before ): void {
	if ( count( $before ) > MAX_DESCENDANTS ) {
		Changes::add( array( 'site' ) );
		return;
	}
	foreach ( $before as $id => $old ) {
		$new = 'publish' === get_post_status( $id ) ? (string) get_permalink( $id ) : '';
		if ( $new !== $old ) {
			Changes::add( array( "post:$id", "name:$id" ), array( $new ), array( $old ) );
		}
	}
}

/**
 * Every list that holds a post.
 *
 * @param int                 $id   Its number.
 * @param array<string,mixed> $post How it is.
 * @return string[]
 */
function tags_of_lists( int $id, array $post ): array {
	global $wpdb;
	$list  = "list:{$post['type']}";
	$year  = substr( $post['date'], 0, 4 );
	$month = substr( $post['date'], 0, 7 );
	$tags  = array( $list, "$list/user:{$post['author']}", "$list/date:$year", "$list/date:$month", "$list/parent:{$post['parent']}" );

	// How many posts stand before it in the lists that begin with the newest?
	$most = max( WINDOWS );
	// phpcs:disable WordPress.DB -- two small questions that an index answers.
	$rank = (int) $wpdb->get_var( $wpdb->prepare( "SELECT COUNT(*) FROM (SELECT 1 FROM $wpdb->posts WHERE post_type = %s AND post_status IN ('publish', 'inherit') AND post_date > %s AND ID <> %d LIMIT %d) AS newer", $post['type'], $post['date'], $id, $most ) );
	foreach ( WINDOWS as $window ) {
		if ( $rank < $window ) {
			$tags[] = "$list/first:$window";
		}
	}
	// Was it, or is it, the only one of its month, but for those that came or went with it?
	$numbers = implode( ',', Changes::posts() ) ?: $id;
	$others  = $wpdb->get_var( $wpdb->prepare( "SELECT ID FROM $wpdb->posts WHERE post_type = %s AND post_status = 'publish' AND post_date BETWEEN %s AND %s AND ID NOT IN ($numbers) LIMIT 1", $post['type'], "$month-01 00:00:00", "$month-31 23:59:59" ) );
	// phpcs:enable
	if ( ! $others ) {
		$tags[] = "$list/months";
	}
	return array_merge( $tags, tags_of_terms( $post['type'], $post['terms'] ) );
}

/**
 * Lists of terms that a post has entered or left, or moved in.
 *
 * @param string            $type  The post's type.
 * @param array<int,string> $terms Number => taxonomy.
 * @return string[]
 */
function tags_of_terms( string $type, array $terms ): array {
	$tags = array();
	foreach ( $terms as $id => $taxonomy ) {
		$tags[] = "list:$type/term:$id";
		$tags[] = "terms:$taxonomy/count";
		// An archive has the posts of the terms below as well.
		foreach ( is_taxonomy_hierarchical( $taxonomy ) ? get_ancestors( $id, $taxonomy, 'taxonomy' ) : array() as $above ) {
			$tags[] = "list:$type/term:$above";
		}
	}
	return $tags;
}

/**
 * The posts before and after a post: theirs are the links that change when it comes or goes.
 *
 * @param int                 $id   Its number.
 * @param array<string,mixed> $post How it is.
 * @return string[]
 */
function tags_of_neighbours( int $id, array $post ): array {
	global $wpdb;
	if ( ! $post['is_page'] || 'attachment' === $post['type'] ) {
		return array();
	}
	$tags = array();
	foreach ( array( '<= %s AND ID <> %d ORDER BY post_date DESC', '>= %s AND ID <> %d ORDER BY post_date ASC' ) as $side ) {
		// phpcs:ignore WordPress.DB -- an index answers.
		$rows = $wpdb->get_results( $wpdb->prepare( "SELECT ID, post_date FROM $wpdb->posts WHERE post_type = %s AND post_status = 'publish' AND post_date $side LIMIT 5", $post['type'], $post['date'], $id ) );
		$next = '';
		foreach ( $rows as $row ) {
			if ( $row->post_date !== $post['date'] && '' === $next ) {
				$next = $row->post_date;
			}
			if ( $row->post_date === $post['date'] || $row->post_date === $next ) {
				$tags[] = "near:$row->ID";
			}
		}
	}
	return $tags;
}

/**
 * Remember how a post is, because it is about to change.
 *
 * @param int $id Its number.
 */
function touch_post( int $id ): void {
	Changes::touch(
		'post',
		$id,
		static function () use ( $id ) {
			return post_snapshot( $id );
		}
	);
}

/**
 * A visitor who only looks changes nothing: what plugins count and cache along the way is no edit.
 */
function is_looking(): bool {
	if ( is_admin() || wp_doing_cron() || 'cli' === PHP_SAPI ) {
		return false;
	}
	// phpcs:ignore WordPress.Security.ValidatedSanitizedInput -- compared only.
	return in_array( $_SERVER['REQUEST_METHOD'] ?? '', array( 'GET', 'HEAD' ), true ) && ! ( function_exists( 'is_user_logged_in' ) && is_user_logged_in() );
}

/**
 * Is a post's meta field bookkeeping, or on a page perhaps?
 *
 * @param string $key Its name.
 */
function is_bookkeeping( string $key ): bool {
	static $exact = array(
		'_edit_lock'            => true,
		'_edit_last'            => true,
		'_pingme'               => true,
		'_encloseme'            => true,
		'_trackbackme'          => true,
		'_wp_old_slug'          => true,
		'_wp_old_date'          => true,
		'_wp_desired_post_slug' => true,
	);
	$is = isset( $exact[ $key ] ) || preg_match( '/\A(?:_wp_trash_meta_|_oembed_|_customize_|_menu_item_|_starter_content_)/', $key );
	/**
	 * Filters whether a post's meta field is bookkeeping that no page shows.
	 *
	 * @param bool   $is  Is it?
	 * @param string $key The field's name.
	 */
	return (bool) apply_filters( 'staticify_is_bookkeeping', $is, $key );
}

add_action( 'pre_post_update', __NAMESPACE__ . '\touch_post' );
add_action( 'wp_trash_post', __NAMESPACE__ . '\touch_post' );
add_action( 'before_delete_post', __NAMESPACE__ . '\touch_post' );
add_action( 'delete_attachment', __NAMESPACE__ . '\touch_post' );
// The media library writes to the database by itself. What it has read before is in the cache still.
add_action(
	'wp_media_attach_action',
	static function ( $unused, $id ) {
		touch_post( (int) $id );
	},
	10,
	2
);
// set_post_type() as well; this is the only hook before it, and who calls it is not among what the hook gets.
add_filter(
	'pre_post_type',
	static function ( $type ) {
		// phpcs:ignore WordPress.PHP.DevelopmentFunctions -- the post's number only.
		foreach ( debug_backtrace( 0, 6 ) as $frame ) {
			if ( 'set_post_type' === $frame['function'] ) {
				touch_post( (int) ( $frame['args'][0] ?? 0 ) );
			}
		}
		return $type;
	}
);
// Whoever else writes to the database by himself cleans the cache, and what was in it may be how the post was.
add_action(
	'clean_post_cache',
	static function ( $id, $post ) {
		if ( is_counting_comments() || doing_action( 'do_pings' ) || is_looking() || ! $post instanceof \WP_Post || isset( INTERNAL_TYPES[ $post->post_type ] ) || Changes::is_touched( 'post', (int) $id ) ) {
			return;
		}
		Changes::touch(
			'post',
			(int) $id,
			static function () use ( $post ) {
				return post_snapshot_of( $post, $post->post_status );
			}
		);
		Changes::differs( 'post', (int) $id );
	},
	10,
	2
);
add_action(
	'transition_post_status',
	static function ( $new_status, $old_status, $post ) {
		if ( ! $post instanceof \WP_Post || isset( INTERNAL_TYPES[ $post->post_type ] ) ) {
			return;
		}
		if ( 'new' === $old_status ) {
			Changes::made( 'post', $post->ID );
		} elseif ( $new_status !== $old_status && ! Changes::is_touched( 'post', $post->ID ) ) {
			// A scheduled post goes out without the hooks of an update.
			Changes::touch(
				'post',
				$post->ID,
				static function () use ( $post, $old_status ) {
					return post_snapshot_of( $post, $old_status );
				}
			);
		}
	},
	PHP_INT_MIN,
	3
);
// An attachment has no transition when it is made.
add_action(
	'add_attachment',
	static function ( $id ) {
		Changes::made( 'post', (int) $id );
	}
);

/**
 * Terms given to a post or taken from it.
 *
 * @param int    $object   The object's number.
 * @param mixed  $unused   Terms.
 * @param string $taxonomy Their taxonomy.
 */
function touch_object( $object, $unused, $taxonomy ): void {
	$type = (string) get_post_type( (int) $object );
	if ( 'wp_theme' === $taxonomy && isset( TEMPLATE_TYPES[ $type ] ) ) {
		touch_post( (int) $object );
		Changes::differs( 'post', (int) $object );
	} elseif ( '' !== $type && ! isset( INTERNAL_TAXONOMIES[ $taxonomy ] ) && is_object_in_taxonomy( $type, $taxonomy ) ) {
		touch_post( (int) $object );
	}
}
add_action( 'add_term_relationship', __NAMESPACE__ . '\touch_object', 10, 3 );
add_action( 'delete_term_relationships', __NAMESPACE__ . '\touch_object', 10, 3 );

/**
 * A meta field has changed: that is enough to know.
 *
 * @param mixed  $unused Numbers of fields.
 * @param int    $id     The post's number.
 * @param string $key    The field's name.
 * @return bool May it be on a page?
 */
function change_post_meta( $unused, $id, $key ): bool {
	if ( ! $id || is_bookkeeping( (string) $key ) || is_looking() ) {
		return false;
	}
	$post = get_post( (int) $id );
	if ( ! $post || isset( INTERNAL_TYPES[ $post->post_type ] ) ) {
		return false;
	}
	touch_post( (int) $id );
	Changes::differs( 'post', (int) $id );
	return true;
}
foreach ( array( 'added', 'updated', 'deleted' ) as $staticify_verb ) {
	add_action( "{$staticify_verb}_post_meta", __NAMESPACE__ . '\change_post_meta', 10, 3 );
}
unset( $staticify_verb );

// Which posts are sticky is one option.
add_filter(
	'pre_update_option_sticky_posts',
	static function ( $value, $old ) {
		$after  = is_array( $value ) ? $value : array();
		$before = is_array( $old ) ? $old : array();
		foreach ( array_merge( array_diff( $after, $before ), array_diff( $before, $after ) ) as $id ) {
			touch_post( (int) $id );
		}
		return $value;
	},
	10,
	2
);
