<?php
/**
 * Users, as far as pages show them: how one is, and what it means that it is another way now.
 *
 * @package staticify
 */

namespace Staticify;

defined( 'ABSPATH' ) || exit;

/**
 * How a user is; null if there is none.
 *
 * @param int $id Its number.
 * @return array<string,mixed>|null
 */
function user_snapshot( int $id ): ?array {
	$user = get_userdata( $id );
	if ( ! $user ) {
		return null;
	}
	$shown = array( $user->display_name, $user->user_nicename, $user->user_url, strtolower( $user->user_email ) );
	foreach ( public_user_fields() as $field => $unused ) {
		$shown[] = maybe_serialize( get_user_meta( $id, $field, true ) );
	}
	return array(
		'shown' => md5( implode( "\n", $shown ) ),
		'url'   => get_author_posts_url( $id, $user->user_nicename ),
	);
}

/**
 * Meta fields of a user that a page may show; the others (sessions, screens, preferences) change all the time.
 *
 * @return array<string,mixed> Names are the keys.
 */
function public_user_fields(): array {
	$names = array( 'nickname', 'first_name', 'last_name', 'description' );
	return array_fill_keys( $names, true ) + wp_get_user_contact_methods();
}

/**
 * May a page show this meta field of a user?
 *
 * @param string $key Its name.
 */
function is_public_user_field( string $key ): bool {
	$is = isset( public_user_fields()[ $key ] ) || preg_match( '/avatar|photo|picture|social/', $key );
	/**
	 * Filters whether pages may show a user's meta field.
	 *
	 * @param bool   $is  May they?
	 * @param string $key The field's name.
	 */
	return (bool) apply_filters( 'staticify_is_public_user_field', $is, $key );
}

/**
 * Say what the difference between two snapshots of a user means.
 *
 * @param int                      $id     Its number.
 * @param array<string,mixed>|null $before How it was.
 * @param array<string,mixed>|null $after  How it is.
 */
function tell_user( int $id, ?array $before, ?array $after ): void {
	if ( $before === $after ) {
		return;
	}
	$is_same_address = $before && $after && $before['url'] === $after['url'];
	Changes::add(
		$before ? array( "user:$id", 'users' ) : array( 'users' ),
		$before && $after ? array( $after['url'] ) : array(),
		$before && ! $is_same_address ? array( $before['url'] ) : array()
	);
}

/**
 * Remember how a user is, because it is about to change.
 *
 * @param int $id Its number.
 */
function touch_user( int $id ): void {
	Changes::touch(
		'user',
		$id,
		static function () use ( $id ) {
			return user_snapshot( $id );
		}
	);
}

add_filter(
	'wp_pre_insert_user_data',
	static function ( $data, $is_update, $id ) {
		if ( $is_update ) {
			touch_user( (int) $id );
		}
		return $data;
	},
	10,
	3
);
add_action(
	'user_register',
	static function ( $id ) {
		Changes::made( 'user', (int) $id );
	}
);
add_action(
	'delete_user',
	static function ( $id, $heir = null ) {
		global $wpdb;
		touch_user( (int) $id );
		if ( ! $heir ) {
			return;
		}
		// WordPress gives the posts to the heir in one stroke, without an update of each.
		// phpcs:ignore WordPress.DB -- the list that WordPress is about to ask for itself.
		foreach ( $wpdb->get_col( $wpdb->prepare( "SELECT ID FROM $wpdb->posts WHERE post_author = %d AND post_type <> 'revision'", $id ) ) as $post ) {
			touch_post( (int) $post );
		}
	},
	10,
	2
);

/**
 * A meta field is about to change.
 *
 * @param mixed  $unused Numbers of fields.
 * @param int    $id     The user's number.
 * @param string $key    The field's name.
 * @return bool May it be on a page?
 */
function change_user_meta( $unused, $id, $key ): bool {
	if ( ! $id || ! is_public_user_field( (string) $key ) || is_looking() ) {
		return false;
	}
	touch_user( (int) $id );
	if ( ! isset( public_user_fields()[ $key ] ) ) {
		Changes::differs( 'user', (int) $id );
	}
	return true;
}
add_action(
	'add_user_meta',
	static function ( $id, $key ) {
		change_user_meta( 0, $id, $key );
	},
	10,
	2
);
add_action( 'update_user_meta', __NAMESPACE__ . '\change_user_meta', 10, 3 );
add_action( 'delete_user_meta', __NAMESPACE__ . '\change_user_meta', 10, 3 );
