<?php
/**
 * What is a reader's own on pages that are everybody's: reader.js fills it in, and asks here who reads.
 *
 * @package staticify
 */

namespace Staticify;

defined( 'ABSPATH' ) || exit;

/**
 * Set the cookie by which reader.js knows that asking is worth while: WordPress's own is hidden from scripts. It says 1
 * of everybody, and proves nothing.
 *
 * @param int $expires Seconds since the epoch; 0 for as long as the browser runs; in the past to take it away.
 */
function set_reader_cookie( int $expires ): void {
	if ( headers_sent() ) {
		return;
	}
	setcookie(
		reader_cookie(),
		'1',
		array(
			'expires'  => $expires,
			'path'     => COOKIEPATH,
			'domain'   => (string) COOKIE_DOMAIN,
			// As wp_set_auth_cookie() decides it of the cookie that this one stands for.
			'secure'   => is_ssl() && 'https' === wp_parse_url( get_option( 'home' ), PHP_URL_SCHEME ),
			'httponly' => false,
			'samesite' => 'Lax',
		)
	);
}

/**
 * The name of that cookie. Two WordPresses of one host have two.
 */
function reader_cookie(): string {
	return 'staticify_reader_' . COOKIEHASH;
}

/**
 * The script's tag, the same for everybody. What tells one version of the file from another is what it says: several
 * back ends have it from different times.
 */
function print_reader_script(): void {
	if ( is_customize_preview() ) {
		return;
	}
	$file       = __DIR__ . '/reader.js';
	$attributes = array(
		'id'        => 'staticify-reader',
		'src'       => add_query_arg( 'ver', substr( md5_file( $file ), 0, 8 ), plugins_url( 'reader.js', $file ) ),
		'defer'     => true,
		'data-hash' => COOKIEHASH,
		// Without a host: the answer is for pages of the same origin only.
		'data-ask'  => admin_url( 'admin-ajax.php?action=staticify_reader', 'relative' ),
	);
	if ( is_singular() ) {
		$attributes['data-post'] = (string) get_queried_object_id();
	}
	wp_print_script_tag( $attributes );
}

/**
 * Who reads, for the browser of the one who does: words in the reader's own language and where the links lead.
 *
 * @param int $post The page's post, or 0.
 * @return array<string,mixed> Nothing for nobody.
 */
function reader( int $post ): array {
	if ( ! is_user_logged_in() ) {
		return array();
	}
	// phpcs:disable WordPress.WP.I18n.MissingArgDomain -- WordPress's own words, which it has in every language.
	$links = array();
	$type  = get_post_type_object( (string) get_post_type( $post ) );
	if ( $type && current_user_can( 'edit_post', $post ) && get_edit_post_link( $post, 'raw' ) ) {
		$links[] = array( $type->labels->edit_item, get_edit_post_link( $post, 'raw' ) );
	}
	if ( current_user_can( 'read' ) ) {
		$links[] = array( __( 'Dashboard' ), admin_url() );
	}
	$links[] = array( __( 'Log Out' ), as_text( wp_logout_url( wp_get_referer() ?: home_url( '/' ) ) ) );
	// phpcs:enable
	return array(
		/* translators: %s: a user's name. */
		'greeting' => sprintf( __( 'Logged in as %s.', 'staticify' ), as_text( wp_get_current_user()->display_name ) ),
		'links'    => $links,
	);
}

/**
 * What a browser makes of HTML without tags.
 *
 * @param string $html The HTML.
 */
function as_text( string $html ): string {
	return html_entity_decode( $html, ENT_QUOTES, 'UTF-8' );
}

/**
 * Answer reader.js, and end the request.
 */
function answer_reader(): void {
	// phpcs:ignore WordPress.Security.NonceVerification -- a question; a page that is everybody's can hold no nonce.
	$answer = reader( isset( $_GET['post'] ) && is_scalar( $_GET['post'] ) ? absint( $_GET['post'] ) : 0 );
	if ( ! $answer ) {
		// The login is over, and so is asking.
		set_reader_cookie( time() - YEAR_IN_SECONDS );
	}
	add_filter(
		'nocache_headers',
		static function ( $headers ) {
			return array( 'Cache-Control' => 'no-store' ) + $headers;
		}
	);
	// Of no other origin's business, whatever a plugin allows for its own requests.
	header_remove( 'Access-Control-Allow-Origin' );
	header_remove( 'Access-Control-Allow-Credentials' );
	wp_send_json( (object) $answer );
}

/**
 * The script's tag comes or goes: every page changes.
 *
 * @param mixed $before The option, or its name when there was none.
 * @param mixed $after  The option.
 */
function tell_reader( $before, $after ): void {
	$is_off = static function ( $saved ) {
		return is_array( $saved ) && '0' === ( $saved['reader'] ?? '' );
	};
	if ( $is_off( $before ) !== $is_off( $after ) ) {
		tell_site();
	}
}
add_action( 'update_option_' . OPTION, __NAMESPACE__ . '\tell_reader', 10, 2 );
add_action( 'add_option_' . OPTION, __NAMESPACE__ . '\tell_reader', 10, 2 );

// Whoever has commented sees the comment, moderated or not. WordPress leaves these out where a cookie will do, or where
// the comment is public at once; then the plain address would be the page that everybody gets, and the comment not on it.
add_filter(
	'comment_post_redirect',
	static function ( $location, $comment ) {
		return add_query_arg(
			array(
				'unapproved'      => $comment->comment_ID,
				'moderation-hash' => wp_hash( $comment->comment_date_gmt ),
			),
			$location
		);
	},
	10,
	2
);

if ( ! is_reader_wanted() ) {
	return;
}
add_action( 'wp_footer', __NAMESPACE__ . '\print_reader_script', 20 );
add_action( 'wp_ajax_staticify_reader', __NAMESPACE__ . '\answer_reader' );
add_action( 'wp_ajax_nopriv_staticify_reader', __NAMESPACE__ . '\answer_reader' );
add_action(
	'set_logged_in_cookie',
	static function ( $unused, $expire ) {
		set_reader_cookie( (int) $expire );
	},
	10,
	2
);
add_action(
	'clear_auth_cookie',
	static function () {
		set_reader_cookie( time() - YEAR_IN_SECONDS );
	}
);
// Who was logged in before the plugin came.
add_action(
	'admin_init',
	static function () {
		if ( is_user_logged_in() && ! isset( $_COOKIE[ reader_cookie() ] ) ) {
			$login = wp_parse_auth_cookie( '', 'logged_in' );
			set_reader_cookie( $login ? (int) $login['expiration'] : 0 );
		}
	}
);
