<?php
/**
 * Tags: how they are spelled. PROTOCOL.md has the table.
 *
 * @package staticify
 */

namespace Staticify;

defined( 'ABSPATH' ) || exit;

/** A label's bytes: with WordPress's own fields it must fit into the 4 KB that nginx takes for a header. */
const MAX_LABEL_BYTES = 2000;

/**
 * Lists that show the first posts only, by how many they show at most: rows name those that reach the post.
 */
const WINDOWS = array( 5, 10, 20, 50 );

/**
 * Kinds of posts that are on no page by themselves: bookkeeping, or told by other means.
 */
const INTERNAL_TYPES = array(
	'revision'            => true,
	'nav_menu_item'       => true,
	'customize_changeset' => true,
	'oembed_cache'        => true,
	'user_request'        => true,
	'scheduled-action'    => true,
);

/**
 * Kinds of posts that shape every page.
 */
const SITE_TYPES = array(
	'custom_css'       => true,
	'wp_global_styles' => true,
	'wp_font_family'   => true,
	'wp_font_face'     => true,
);

/**
 * Kinds of posts that are templates.
 */
const TEMPLATE_TYPES = array(
	'wp_template'      => true,
	'wp_template_part' => true,
);

/**
 * Taxonomies that are on no page.
 */
const INTERNAL_TAXONOMIES = array(
	'nav_menu'              => true,
	'link_category'         => true,
	'wp_theme'              => true,
	'wp_template_part_area' => true,
	'wp_pattern_category'   => true,
);

/**
 * A tag without anything that a header field or a list of tags could not hold.
 *
 * @param string $tag Family, colon, name.
 */
function clean_tag( string $tag ): string {
	$clean = preg_replace_callback(
		'~[^A-Za-z0-9_.:/%*-]~',
		static function ( $byte ) {
			return rawurlencode( $byte[0] );
		},
		$tag
	);
	return strlen( $clean ) > 200 ? substr( $clean, 0, 160 ) . md5( $clean ) : $clean;
}

/**
 * The tag of a list of the site's latest comments.
 *
 * @param int $count How many it shows; 0 for any number.
 */
function tag_of_latest_comments( int $count ): string {
	foreach ( WINDOWS as $window ) {
		if ( $count > 0 && $count <= $window ) {
			return "comments:first/$window";
		}
	}
	return 'comments';
}

/**
 * A label: the tags with a space between them, folded until they fit.
 *
 * @param array<string,mixed> $tags Tags are the keys.
 * @param int                 $most So many bytes fit.
 */
function label( array $tags, int $most = MAX_LABEL_BYTES ): string {
	// Whatever changes a post's name changes the post.
	foreach ( $tags as $tag => $unused ) {
		if ( 0 === strpos( $tag, 'name:' ) && isset( $tags[ 'post:' . substr( $tag, 5 ) ] ) ) {
			unset( $tags[ $tag ] );
		}
	}
	$label = implode( ' ', array_keys( $tags ) );
	while ( strlen( $label ) > $most ) {
		$bytes = array();
		foreach ( $tags as $tag => $unused ) {
			$family = strstr( $tag, ':', true );
			if ( $family && "$family:*" !== $tag ) {
				$bytes[ $family ] = ( $bytes[ $family ] ?? 0 ) + strlen( $tag ) + 1;
			}
		}
		if ( ! $bytes ) {
			return '*';
		}
		arsort( $bytes );
		$largest = key( $bytes );
		foreach ( $tags as $tag => $unused ) {
			if ( 0 === strpos( $tag, "$largest:" ) || ( 'post' === $largest && 0 === strpos( $tag, 'name:' ) ) ) {
				unset( $tags[ $tag ] );
			}
		}
		$tags[ "$largest:*" ] = true;
		$label                = implode( ' ', array_keys( $tags ) );
	}
	return $label;
}
