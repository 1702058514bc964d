<?php
/**
 * Lists: which list of posts a query makes.
 *
 * @package staticify
 */

namespace Staticify;

defined( 'ABSPATH' ) || exit;

/**
 * The tags of the lists that a query makes.
 *
 * A list is named after every constraint that it has, because a post enters it by coming to meet any of them. One whose
 * constraint has no name of its own is a list of anything: each change to a post of its types concerns it.
 *
 * @param \WP_Query $query A query that has been made.
 * @return string[]
 */
function lists_of( \WP_Query $query ): array {
	$vars = $query->query_vars;
	if ( $query->is_singular() || ! empty( $vars['p'] ) || ! empty( $vars['page_id'] ) || ! empty( $vars['attachment_id'] ) ) {
		$id = (int) ( $vars['p'] ?? 0 ) ?: (int) ( $vars['page_id'] ?? 0 ) ?: (int) ( $vars['attachment_id'] ?? 0 );
		return $id ? array( "post:$id" ) : array();
	}
	if ( ! empty( $vars['post__in'] ) ) {
		return array_map(
			static function ( $id ) {
				return 'post:' . (int) $id;
			},
			(array) $vars['post__in']
		);
	}
	if ( $query->is_comment_feed() ) {
		return array();
	}
	$types = (array) ( $vars['post_type'] ?? '' );
	if ( array( '' ) === $types || ! $types ) {
		$types = array( 'post' );
	} elseif ( in_array( 'any', $types, true ) ) {
		$types = get_post_types( array( 'exclude_from_search' => false ) );
	}
	$endings = endings_of( $query );
	$tags    = is_by_comments( $vars ) ? array( 'comments' ) : array();
	foreach ( $types as $type ) {
		if ( isset( INTERNAL_TYPES[ $type ] ) || isset( SITE_TYPES[ $type ] ) || isset( TEMPLATE_TYPES[ $type ] ) ) {
			continue;
		}
		foreach ( $endings as $ending ) {
			$tags[] = "list:$type$ending";
		}
	}
	return $tags;
}

/**
 * Does a list depend on how many comments posts have? Every comment concerns it then.
 *
 * @param array<string,mixed> $vars What its query asks for.
 */
function is_by_comments( array $vars ): bool {
	$order = $vars['orderby'] ?? '';
	return ! empty( $vars['comment_count'] ) || false !== strpos( is_array( $order ) ? implode( ' ', array_keys( $order ) ) : (string) $order, 'comment_count' );
}

/**
 * What comes after "list:post" in the tags of a query's lists.
 *
 * @param \WP_Query $query The query.
 * @return string[]
 */
function endings_of( \WP_Query $query ): array {
	$vars         = $query->query_vars;
	$any          = array( '/any' );
	$is_unlimited = ! empty( $vars['nopaging'] ) || (int) ( $vars['posts_per_page'] ?? 0 ) < 0;
	$orders       = is_array( $vars['orderby'] ?? '' ) ? array_keys( $vars['orderby'] ) : preg_split( '/[\s,]+/', (string) ( $vars['orderby'] ?? '' ), -1, PREG_SPLIT_NO_EMPTY );
	$is_by_date   = ! array_diff( $orders, array( 'date', 'post_date' ) );
	$known        = array( 'date', 'post_date', 'ID', 'menu_order', 'none', 'parent', 'post_parent', 'author', 'post_author' );
	if ( $is_unlimited ) {
		// Whoever shows all of them has the names of all of them.
		array_push( $known, 'title', 'post_title', 'name', 'post_name' );
	}
	if ( array_diff( $orders, $known ) ) {
		return $any;
	}
	if ( ! empty( $vars['s'] ) || ! empty( $vars['meta_key'] ) || ! empty( $vars['meta_query'] ) || ! empty( $vars['date_query'] ) || ! empty( $vars['has_password'] ) ) {
		return $any;
	}
	foreach ( array( 'title', 'name', 'pagename', 'w', 'hour', 'minute', 'second', 'comment_count', 'post_mime_type', 'post_name__in', 'author__not_in' ) as $constraint ) {
		if ( ! empty( $vars[ $constraint ] ) ) {
			return $any;
		}
	}
	$endings = array();
	if ( ! empty( $query->tax_query->queries ) ) {
		$terms = terms_of_query( $query->tax_query->queries );
		if ( null === $terms ) {
			return $any;
		}
		foreach ( $terms as $term ) {
			$endings[] = "/term:$term";
		}
	}
	$authors = array_merge( preg_split( '/[\s,]+/', (string) ( $vars['author'] ?? '' ), -1, PREG_SPLIT_NO_EMPTY ), (array) ( $vars['author__in'] ?? array() ) );
	foreach ( $authors as $author ) {
		if ( (int) $author < 0 ) {
			return $any;
		}
		$endings[] = '/user:' . (int) $author;
	}
	if ( is_numeric( $vars['post_parent'] ?? '' ) ) {
		$endings[] = '/parent:' . (int) $vars['post_parent'];
	} elseif ( ! empty( $vars['post_parent__in'] ) ) {
		foreach ( (array) $vars['post_parent__in'] as $parent ) {
			$endings[] = '/parent:' . (int) $parent;
		}
	}
	$month = preg_replace( '/\D/', '', (string) ( $vars['m'] ?? '' ) );
	$year  = (int) ( ! empty( $vars['year'] ) ? $vars['year'] : substr( $month, 0, 4 ) );
	$month = (int) ( ! empty( $vars['monthnum'] ) ? $vars['monthnum'] : substr( $month, 4, 2 ) );
	if ( $year ) {
		$endings[] = $month ? sprintf( '/date:%04d-%02d', $year, $month ) : sprintf( '/date:%04d', $year );
	} elseif ( $month || ! empty( $vars['day'] ) ) {
		return $any;
	}
	if ( $endings ) {
		return $endings;
	}
	return array( window_of( $query, $is_by_date && ! $is_unlimited ) );
}

/**
 * The numbers of the terms that a query is about; null if it is not as simple as that.
 *
 * @param array<mixed> $clauses A query's clauses.
 * @return int[]|null
 */
function terms_of_query( array $clauses ): ?array {
	$terms = array();
	if ( 'OR' === strtoupper( (string) ( $clauses['relation'] ?? 'AND' ) ) && count( $clauses ) > 2 ) {
		return null;
	}
	unset( $clauses['relation'] );
	foreach ( $clauses as $clause ) {
		if ( ! is_array( $clause ) || ! isset( $clause['terms'] ) || ! in_array( strtoupper( (string) ( $clause['operator'] ?? 'IN' ) ), array( 'IN', 'AND' ), true ) ) {
			return null;
		}
		$field = $clause['field'] ?? 'term_id';
		foreach ( (array) $clause['terms'] as $value ) {
			if ( 'term_id' === $field || 'id' === $field ) {
				$terms[] = (int) $value;
				continue;
			}
			$term = get_term_by( 'slug' === $field || 'name' === $field ? $field : 'term_taxonomy_id', $value, (string) ( $clause['taxonomy'] ?? '' ) );
			if ( ! $term instanceof \WP_Term ) {
				return null;
			}
			$terms[] = $term->term_id;
		}
	}
	return $terms;
}

/**
 * A list that shows the newest posts, and not how many there are, is concerned by those only.
 *
 * @param \WP_Query $query      The query.
 * @param bool      $is_newest  Does it begin with the newest, and end somewhere?
 */
function window_of( \WP_Query $query, bool $is_newest ): string {
	$vars      = $query->query_vars;
	$is_closed = ! empty( $vars['no_found_rows'] ) || $query->is_feed();
	$is_sticky = $query->is_home() && empty( $vars['ignore_sticky_posts'] );
	$is_down   = 'ASC' !== strtoupper( (string) ( $vars['order'] ?? 'DESC' ) );
	$is_plain  = 'publish' === ( $vars['post_status'] ?? '' ) || '' === ( $vars['post_status'] ?? '' );
	if ( $is_newest && $is_closed && ! $is_sticky && $is_down && $is_plain ) {
		$page  = max( 1, (int) ( $vars['paged'] ?? 1 ) );
		$count = (int) $vars['posts_per_page'];
		$reach = ( '' === (string) ( $vars['offset'] ?? '' ) ? ( $page - 1 ) * $count : (int) $vars['offset'] ) + $count + count( (array) ( $vars['post__not_in'] ?? array() ) );
		foreach ( WINDOWS as $window ) {
			if ( $reach <= $window ) {
				return "/first:$window";
			}
		}
	}
	return '';
}
