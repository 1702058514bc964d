<?php
/**
 * For each edit of test_plugin.py a small world of its own, in a year of its own: numbers and addresses, as JSON.
 *
 *     stack php worlds.php '["first", "second"]'
 */

$ids = array();
$make = function ( $fields ) { return wp_insert_post( $fields + array( 'post_status' => 'publish', 'comment_status' => 'open' ) ); };
foreach ( json_decode( $argv[1] ) as $number => $name ) {
	$x = array( 'y' => 1940 + $number );
	foreach ( array( 'u', 'v' ) as $user ) {
		$x[ $user ] = wp_insert_user( array( 'user_login' => "$user$number", 'user_pass' => 'x', 'user_email' => "$user$number@example.org", 'role' => 'author' ) );
	}
	$x['a'] = wp_insert_term( "Above $number", 'category' )['term_id'];
	$x['b'] = wp_insert_term( "Below $number", 'category', array( 'parent' => $x['a'] ) )['term_id'];
	$x['c'] = wp_insert_term( "Other $number", 'category' )['term_id'];
	$x['t'] = wp_insert_term( "Tag $number", 'post_tag' )['term_id'];
	$common = array( 'post_author' => $x['u'], 'post_category' => array( $x['b'] ), 'post_content' => 'text' );
	foreach ( array( 'p1' => '01', 'p' => '02', 'p3' => '03' ) as $key => $month ) {
		$x[ $key ] = $make( array( 'post_title' => "$key $number", 'post_date' => "{$x['y']}-$month-05 10:00:00" ) + $common );
	}
	$x['d'] = $make( array( 'post_title' => "draft $number", 'post_status' => 'draft' ) + $common );
	$x['e'] = $make( array( 'post_title' => "late $number", 'post_name' => "late-$number", 'post_status' => 'draft', 'post_date' => "{$x['y']}-02-06 10:00:00" ) + $common );
	$x['g'] = $make( array( 'post_title' => "page $number", 'post_type' => 'page', 'post_author' => $x['u'], 'post_date' => "{$x['y']}-02-01 10:00:00" ) );
	$x['h'] = $make( array( 'post_title' => "child $number", 'post_type' => 'page', 'post_parent' => $x['g'], 'post_author' => $x['u'], 'post_date' => "{$x['y']}-02-02 10:00:00" ) );
	$x['i'] = wp_insert_attachment( array( 'post_title' => "image $number", 'post_mime_type' => 'image/jpeg', 'post_author' => $x['u'] ), "image-$number.jpg" );
	$x['w'] = $make( array( 'post_title' => "block $number", 'post_type' => 'wp_block' ) );
	$x['m'] = wp_create_nav_menu( "Menu $number" );
	$x['n'] = wp_update_nav_menu_item( $x['m'], 0, array( 'menu-item-status' => 'publish', 'menu-item-title' => 'x', 'menu-item-url' => 'http://x.example' ) );
	foreach ( array( 'k' => 1, 'q' => 0 ) as $key => $approved ) {
		$x[ $key ] = wp_insert_comment( array( 'comment_post_ID' => $x['p3'], 'comment_content' => $key, 'comment_author' => 'Bob', 'comment_approved' => $approved ) );
	}
	foreach ( array( 'p', 'p3', 'g', 'h', 'd', 'e' ) as $key ) {
		$object       = clone get_post( $x[ $key ] );
		$object->post_status = 'publish';
		$object->post_name   = $object->post_name ? $object->post_name : sanitize_title( $object->post_title );
		$x[ "{$key}url" ]    = get_permalink( $object );
	}
	foreach ( array( 'a', 'b', 'c', 't' ) as $key ) {
		$x[ "{$key}url" ] = get_term_link( $x[ $key ] );
	}
	$x['uurl'] = get_author_posts_url( $x['u'] );
	$ids[ $name ] = $x;
}
echo json_encode( $ids );
