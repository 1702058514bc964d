<?php
/**
 * Menus of the classic kind; those of the block editor are posts.
 *
 * @package staticify
 */

namespace Staticify;

defined( 'ABSPATH' ) || exit;

/**
 * The menus of a menu item have changed.
 *
 * @param int $item A post of type nav_menu_item.
 */
function tell_menus_of_item( int $item ): void {
	$menus = wp_get_object_terms( $item, 'nav_menu', array( 'fields' => 'ids' ) );
	foreach ( is_array( $menus ) ? $menus : array() as $menu ) {
		Changes::add( array( "menu:$menu" ) );
	}
}

foreach ( array( 'wp_update_nav_menu', 'wp_update_nav_menu_item' ) as $staticify_action ) {
	add_action(
		$staticify_action,
		static function ( $menu ) {
			if ( $menu ) {
				Changes::add( array( "menu:$menu" ) );
			}
		}
	);
}
unset( $staticify_action );
// One that is made or goes may be the one that a theme takes when none is assigned.
foreach ( array( 'wp_create_nav_menu', 'wp_delete_nav_menu' ) as $staticify_action ) {
	add_action(
		$staticify_action,
		static function ( $menu ) {
			Changes::add( array( "menu:$menu", 'terms:nav_menu', 'terms:nav_menu/any' ) );
		}
	);
}
unset( $staticify_action );
add_action(
	'before_delete_post',
	static function ( $id ) {
		if ( 'nav_menu_item' === get_post_type( $id ) ) {
			tell_menus_of_item( (int) $id );
		}
	}
);
add_action(
	'transition_post_status',
	static function ( $new_status, $old_status, $post ) {
		if ( $new_status !== $old_status && 'nav_menu_item' === $post->post_type ) {
			tell_menus_of_item( $post->ID );
		}
	},
	10,
	3
);
// Whoever changes an item as the post that it is, or its fields.
add_action(
	'post_updated',
	static function ( $id, $after ) {
		if ( 'nav_menu_item' === $after->post_type && 'publish' === $after->post_status ) {
			tell_menus_of_item( (int) $id );
		}
	},
	10,
	2
);
foreach ( array( 'added', 'updated', 'deleted' ) as $staticify_verb ) {
	add_action(
		"{$staticify_verb}_post_meta",
		static function ( $unused, $id ) {
			if ( $id && 'nav_menu_item' === get_post_type( (int) $id ) && 'publish' === get_post_status( (int) $id ) && ! is_looking() ) {
				tell_menus_of_item( (int) $id );
			}
		},
		10,
		2
	);
}
unset( $staticify_verb );
