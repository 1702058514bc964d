<?php
/**
 * A must-use plugin that keeps a cart for each visitor, in the ways in which shops differ from WordPress itself: a
 * session begins with the first thing in the cart, or with the cart's own page, and every page then greets by name.
 */

add_action(
	'template_redirect',
	function () {
		$name = $_GET['customer'] ?? '';
		if ( '' === $name && ( ! is_page( 'contact' ) || ! empty( $_COOKIE['shop_session'] ) ) ) {
			return;
		}
		$session = bin2hex( random_bytes( 16 ) );
		setcookie( 'shop_session', $session, 0, '/' );
		if ( '' !== $name ) {
			set_transient( "shop_$session", array( sanitize_text_field( $name ), sanitize_text_field( $_GET['add-to-cart'] ) ), 3600 );
			nocache_headers();
			wp_safe_redirect( home_url( '/about/' ) );
			exit;
		}
	}
);

add_action(
	'wp_footer',
	function () {
		$session = $_COOKIE['shop_session'] ?? '';
		$cart    = '' === $session ? false : get_transient( "shop_$session" );
		if ( ! $cart ) {
			echo '<aside class="cart">Your cart is empty.</aside>';
			return;
		}
		printf(
			'<aside class="cart">Hello %s! In your cart: %s <input type="hidden" name="shop-nonce" value="%s"></aside>',
			esc_html( $cart[0] ),
			esc_html( $cart[1] ),
			esc_attr( wp_create_nonce( "shop_$session" ) )
		);
	}
);

// One address comments more often here than WordPress lets it.
add_filter( 'comment_flood_filter', '__return_false', 99 );
