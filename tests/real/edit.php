<?php
/**
 * One edit of the kind that editors, visitors and administrators make, chosen and filled by a seed.
 *
 *     stack php edit.php SEED [KIND]     prints JSON: {"kind": ..., "position": of the journal afterwards}
 *     stack php edit.php kinds           prints the names of all kinds
 */

require_once ABSPATH . 'wp-admin/includes/image.php';
require_once ABSPATH . 'wp-admin/includes/post.php';
require_once ABSPATH . 'wp-admin/includes/nav-menu.php';

function one_of( array $list ) {
	return $list ? $list[ mt_rand( 0, count( $list ) - 1 ) ] : null;
}

function words() {
	return 'word' . mt_rand( 1, 1000000 ) . ' word' . mt_rand( 1, 1000000 );
}

function some_post( $status = 'publish', $type = 'post' ) {
	return one_of(
		get_posts(
			array(
				'post_type'   => $type,
				'post_status' => $status,
				'numberposts' => -1,
				'orderby'     => 'ID',
				'order'       => 'ASC',
				'fields'      => 'ids',
			)
		)
	);
}

function some_term( $taxonomy ) {
	return one_of(
		get_terms(
			array(
				'taxonomy'   => $taxonomy,
				'hide_empty' => false,
				'orderby'    => 'term_id',
				'fields'     => 'ids',
			)
		)
	);
}

function some_user() {
	return (int) one_of( get_users( array( 'fields' => 'ID', 'orderby' => 'ID' ) ) );
}

function some_comment( $status = 'approve' ) {
	return one_of( get_comments( array( 'status' => $status, 'fields' => 'ids', 'orderby' => 'comment_ID' ) ) );
}

function change( array $fields, $status = 'publish', $type = 'post' ) {
	$id = some_post( $status, $type );
	return $id ? wp_update_post( wp_slash( array( 'ID' => $id ) + $fields ) ) : 0;
}

function comment( $approved ) {
	$id = some_post();
	return $id ? wp_insert_comment(
		array(
			'comment_post_ID'      => $id,
			'comment_author'       => 'Visitor',
			'comment_author_email' => 'visitor@example.org',
			'comment_content'      => words(),
			'comment_approved'     => $approved,
		)
	) : 0;
}

$kinds = array(
	'publish'            => static function () {
		return wp_insert_post(
			array(
				'post_title'    => words(),
				'post_content'  => words(),
				'post_status'   => 'publish',
				'post_author'   => some_user(),
				'post_category' => array( some_term( 'category' ) ),
			)
		);
	},
	'draft'              => static function () {
		return wp_insert_post( array( 'post_title' => words(), 'post_content' => words(), 'post_status' => 'draft' ) );
	},
	'publish-draft'      => static function () {
		$id = some_post( 'draft' );
		return $id ? wp_update_post( array( 'ID' => $id, 'post_status' => 'publish' ) ) : 0;
	},
	'content'            => static function () {
		return change( array( 'post_content' => words() ) );
	},
	'title'              => static function () {
		return change( array( 'post_title' => words() ) );
	},
	'excerpt'            => static function () {
		return change( array( 'post_excerpt' => words() ) );
	},
	'slug'               => static function () {
		return change( array( 'post_name' => 'slug-' . mt_rand( 1, 1000000 ) ) );
	},
	'author'             => static function () {
		return change( array( 'post_author' => some_user() ) );
	},
	'date'               => static function () {
		$date = gmdate( 'Y-m-d H:i:s', 1600000000 + mt_rand( 0, 100000000 ) );
		return change( array( 'post_date' => $date, 'post_date_gmt' => $date, 'edit_date' => true ) );
	},
	'private'            => static function () {
		return change( array( 'post_status' => 'private' ) );
	},
	'public-again'       => static function () {
		$id = some_post( 'private' );
		return $id ? wp_update_post( array( 'ID' => $id, 'post_status' => 'publish' ) ) : 0;
	},
	'password'           => static function () {
		return change( array( 'post_password' => 'secret' ) );
	},
	'password-off'       => static function () {
		$id = one_of( get_posts( array( 'has_password' => true, 'numberposts' => -1, 'fields' => 'ids', 'orderby' => 'ID' ) ) );
		return $id ? wp_update_post( array( 'ID' => $id, 'post_password' => '' ) ) : 0;
	},
	'unpublish'          => static function () {
		return change( array( 'post_status' => 'draft' ) );
	},
	'trash'              => static function () {
		return wp_trash_post( some_post() );
	},
	'untrash'            => static function () {
		$id = some_post( 'trash' );
		return $id ? wp_untrash_post( $id ) : 0;
	},
	'delete'             => static function () {
		$id = some_post( 'draft' );
		return $id ? wp_delete_post( $id, true ) : 0;
	},
	'delete-published'   => static function () {
		return wp_delete_post( some_post(), true );
	},
	'schedule'           => static function () {
		$date = gmdate( 'Y-m-d H:i:s', time() + 86400 );
		return wp_insert_post(
			array(
				'post_title'    => words(),
				'post_content'  => words(),
				'post_status'   => 'future',
				'post_date'     => $date,
				'post_date_gmt' => $date,
			)
		);
	},
	'schedule-due'       => static function () {
		$id = some_post( 'future' );
		return $id ? wp_publish_post( $id ) : 0;
	},
	'categories'         => static function () {
		return wp_set_post_categories( some_post(), array( some_term( 'category' ) ) );
	},
	'tags'               => static function () {
		return wp_set_post_tags( some_post(), array( words() ), true );
	},
	'term-rename'        => static function () {
		return wp_update_term( some_term( 'category' ), 'category', array( 'name' => words() ) );
	},
	'term-new'           => static function () {
		return wp_insert_term( words(), 'category' );
	},
	'term-delete'        => static function () {
		return wp_delete_term( some_term( 'post_tag' ), 'post_tag' );
	},
	'sticky'             => static function () {
		stick_post( some_post() );
		return 1;
	},
	'unsticky'           => static function () {
		$id = one_of( array_values( get_option( 'sticky_posts' ) ) );
		unstick_post( $id );
		return $id;
	},
	'page'               => static function () {
		return change( array( 'post_content' => words() ), 'publish', 'page' );
	},
	'page-title'         => static function () {
		return change( array( 'post_title' => words() ), 'publish', 'page' );
	},
	'page-new'           => static function () {
		return wp_insert_post( array( 'post_type' => 'page', 'post_title' => words(), 'post_content' => words(), 'post_status' => 'publish' ) );
	},
	'user-name'          => static function () {
		return wp_update_user( array( 'ID' => some_user(), 'display_name' => words() ) );
	},
	'comment'            => static function () {
		return comment( 1 );
	},
	'comment-pending'    => static function () {
		return comment( 0 );
	},
	'comment-approve'    => static function () {
		$id = some_comment( 'hold' );
		return $id ? wp_set_comment_status( $id, 'approve' ) : 0;
	},
	'comment-edit'       => static function () {
		$id = some_comment();
		return $id ? wp_update_comment( array( 'comment_ID' => $id, 'comment_content' => words() ) ) : 0;
	},
	'comment-trash'      => static function () {
		$id = some_comment();
		return $id ? wp_trash_comment( $id ) : 0;
	},
	'comment-spam'       => static function () {
		$id = some_comment();
		return $id ? wp_spam_comment( $id ) : 0;
	},
	'menu-item'          => static function () {
		$menu = one_of( wp_get_nav_menus() );
		return $menu ? wp_update_nav_menu_item(
			$menu->term_id,
			0,
			array(
				'menu-item-title'  => words(),
				'menu-item-url'    => home_url( '/' . mt_rand() ),
				'menu-item-status' => 'publish',
			)
		) : 0;
	},
	'menu-item-delete'   => static function () {
		$id = some_post( 'publish', 'nav_menu_item' );
		return $id ? wp_delete_post( $id, true ) : 0;
	},
	'widget'             => static function () {
		$widgets    = get_option( 'widget_block', array() );
		$widgets[2] = array( 'content' => '<!-- wp:paragraph --><p>' . words() . '</p><!-- /wp:paragraph -->' );
		return update_option( 'widget_block', $widgets );
	},
	'site-title'         => static function () {
		return update_option( 'blogname', words() );
	},
	'site-description'   => static function () {
		return update_option( 'blogdescription', words() );
	},
	'posts-per-page'     => static function () {
		return update_option( 'posts_per_page', mt_rand( 5, 12 ) );
	},
	'theme-mod'          => static function () {
		set_theme_mod( 'background_color', sprintf( '%06x', mt_rand( 0, 0xffffff ) ) );
		return 1;
	},
	'custom-css'         => static function () {
		return wp_update_custom_css_post( 'p{color:#' . sprintf( '%06x', mt_rand( 0, 0xffffff ) ) . '}' );
	},
	'featured-image'     => static function () {
		$image = some_post( 'inherit', 'attachment' );
		return $image ? set_post_thumbnail( some_post(), $image ) : 0;
	},
	'featured-image-off' => static function () {
		return delete_post_thumbnail( some_post() );
	},
	'image-alt'          => static function () {
		$image = some_post( 'inherit', 'attachment' );
		return $image ? update_post_meta( $image, '_wp_attachment_image_alt', words() ) : 0;
	},
	'meta'               => static function () {
		return update_post_meta( some_post(), 'subtitle', words() );
	},
	'edit-lock'          => static function () {
		return update_post_meta( some_post(), '_edit_lock', time() . ':1' );
	},
	'transient'          => static function () {
		return set_transient( 'nobody_cares', words(), 60 );
	},
);

if ( 'kinds' === $argv[1] ) {
	echo wp_json_encode( array_keys( $kinds ) );
	exit;
}
mt_srand( (int) $argv[1] );
$kind = $argv[2] ?? one_of( array_keys( $kinds ) );
wp_set_current_user( 1 );
$kinds[ $kind ]();
register_shutdown_function(
	static function () use ( $kind ) {
		global $wpdb;
		$position = (int) $wpdb->get_var( "SELECT MAX(position) FROM {$wpdb->prefix}staticify_journal" );
		echo wp_json_encode( array( 'kind' => $kind, 'position' => $position ) );
	}
);
