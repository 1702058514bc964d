<?php
/**
 * Terms of all taxonomies: how one is, and what it means that it is another way now.
 *
 * @package staticify
 */

namespace Staticify;

defined( 'ABSPATH' ) || exit;

/**
 * How a term is; null if it is not there, or on no page.
 *
 * @param int $id Its number.
 * @return array<string,mixed>|null
 */
function term_snapshot( int $id ): ?array {
	$term = get_term( $id );
	if ( ! $term instanceof \WP_Term || isset( INTERNAL_TAXONOMIES[ $term->taxonomy ] ) ) {
		return null;
	}
	$is_tree = is_taxonomy_hierarchical( $term->taxonomy );
	$below   = $is_tree ? get_term_children( $id, $term->taxonomy ) : array();
	return array(
		'taxonomy' => $term->taxonomy,
		'shown'    => md5( "$term->name\n$term->slug\n$term->description" ),
		'parent'   => (int) $term->parent,
		'count'    => (int) $term->count,
		'above'    => $is_tree ? get_ancestors( $id, $term->taxonomy, 'taxonomy' ) : array(),
		'url'      => address_of_term( $id ),
		'below'    => is_array( $below ) ? array_combine( $below, array_map( __NAMESPACE__ . '\address_of_term', $below ) ) : array(),
	);
}

/**
 * The address of a term's archive, or nothing.
 *
 * @param int $id Its number.
 */
function address_of_term( int $id ): string {
	$term = get_term( $id );
	if ( ! $term instanceof \WP_Term || ! is_taxonomy_viewable( $term->taxonomy ) ) {
		return '';
	}
	$link = get_term_link( $term );
	return is_string( $link ) ? $link : '';
}

/**
 * Say what the difference between two snapshots of a term means.
 *
 * @param int                      $id     Its number.
 * @param array<string,mixed>|null $before How it was.
 * @param array<string,mixed>|null $after  How it is.
 */
function tell_term( int $id, ?array $before, ?array $after ): void {
	// How many posts it has is told by tell_count().
	$unlike = array( 'count' => 0 );
	if ( null !== $before && null !== $after && array_merge( $before, $unlike ) === array_merge( $after, $unlike ) ) {
		return;
	}
	if ( $before === $after ) {
		return;
	}
	$there    = $after ?? $before;
	$taxonomy = $there['taxonomy'];
	$tags     = array( "terms:$taxonomy/any" );
	if ( $before ) {
		$tags[] = "term:$id";
	}
	if ( ! $after && $before['count'] ) {
		$tags[] = "terms:$taxonomy/count";
	}
	if ( $before && ( $after ? $before['parent'] !== $after['parent'] : $before['count'] || $before['below'] ) ) {
		$tags[] = "terms:$taxonomy";
	}
	if ( $before && ( ! $after || $before['parent'] !== $after['parent'] ) ) {
		// The posts of a term are in the archives of those above it.
		$object = get_taxonomy( $taxonomy );
		foreach ( $object ? $object->object_type : array() as $type ) {
			foreach ( array_merge( array( $id ), $before['above'], $after ? $after['above'] : array() ) as $archive ) {
				$tags[] = "list:$type/term:$archive";
			}
		}
	}
	$old = $before ? $before['url'] : '';
	$new = $before && $after ? $after['url'] : '';
	if ( $old !== $new && is_in_permalinks( $taxonomy ) ) {
		$tags[] = 'site';
	}
	Changes::add( $tags, array( $new ), $old !== $new ? array( $old ) : array() );
	if ( $before && $old !== $new ) {
		foreach ( $before['below'] as $child => $address ) {
			$moved = address_of_term( $child );
			if ( $moved !== $address ) {
				Changes::add( array( "term:$child", "terms:$taxonomy/any" ), array( $moved ), array( $address ) );
			}
		}
	}
}

/**
 * How many posts a term has; null if there is no such term, or it is on no page.
 *
 * @param int $id Its number as a term of its taxonomy.
 * @return array<string,mixed>|null
 */
function count_snapshot( int $id ): ?array {
	global $wpdb;
	// phpcs:ignore WordPress.DB -- no cache has it that WordPress has not just made old.
	$row = $wpdb->get_row( $wpdb->prepare( "SELECT term_id, taxonomy, count FROM $wpdb->term_taxonomy WHERE term_taxonomy_id = %d", $id ), ARRAY_A );
	return $row && ! isset( INTERNAL_TAXONOMIES[ $row['taxonomy'] ] ) ? $row : null;
}

/**
 * Say what it means that a term has another number of posts. Most lists have only terms that have any.
 *
 * @param array<string,mixed>|null $before How it was.
 * @param array<string,mixed>|null $after  How it is.
 */
function tell_count( ?array $before, ?array $after ): void {
	if ( ! $before || ! $after || $before['count'] === $after['count'] ) {
		return;
	}
	$taxonomy = $after['taxonomy'];
	$tags     = array( "terms:$taxonomy/count" );
	$urls     = array();
	if ( ! $before['count'] || ! $after['count'] ) {
		array_push( $tags, "terms:$taxonomy", "terms:$taxonomy/any" );
		$urls[] = $after['count'] ? address_of_term( (int) $after['term_id'] ) : '';
	}
	Changes::add( $tags, $urls );
}

/**
 * Do addresses of posts have the names of this taxonomy's terms in them?
 *
 * @param string $taxonomy Its name.
 */
function is_in_permalinks( string $taxonomy ): bool {
	return false !== strpos( (string) get_option( 'permalink_structure' ), "%$taxonomy%" );
}

/**
 * Remember how a term is, because it is about to change.
 *
 * @param int $id Its number.
 */
function touch_term( int $id ): void {
	Changes::touch(
		'term',
		$id,
		static function () use ( $id ) {
			return term_snapshot( $id );
		}
	);
}

add_action( 'edit_terms', __NAMESPACE__ . '\touch_term' );
add_action( 'pre_delete_term', __NAMESPACE__ . '\touch_term' );
add_action(
	'created_term',
	static function ( $id ) {
		Changes::made( 'term', (int) $id );
	}
);
// WordPress is about to write how many posts a term has.
add_action(
	'edit_term_taxonomy',
	static function ( $id, $taxonomy ) {
		if ( ! isset( INTERNAL_TAXONOMIES[ $taxonomy ] ) ) {
			Changes::touch(
				'count',
				(int) $id,
				static function () use ( $id ) {
					return count_snapshot( (int) $id );
				}
			);
		}
	},
	10,
	2
);

/**
 * A meta field has changed.
 *
 * @param mixed  $unused Numbers of fields.
 * @param int    $id     The term's number.
 * @param string $key    The field's name.
 * @return bool May it be on a page?
 */
function change_term_meta( $unused, $id, $key ): bool {
	// WooCommerce counts its products here.
	if ( ! $id || 0 === strpos( (string) $key, 'product_count_' ) || is_looking() ) {
		return false;
	}
	touch_term( (int) $id );
	Changes::differs( 'term', (int) $id );
	return true;
}
foreach ( array( 'added', 'updated', 'deleted' ) as $staticify_verb ) {
	add_action( "{$staticify_verb}_term_meta", __NAMESPACE__ . '\change_term_meta', 10, 3 );
}
unset( $staticify_verb );
