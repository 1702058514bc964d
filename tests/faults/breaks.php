<?php
/**
 * A must-use plugin that breaks WordPress where break.json beside it says, and as it says: at which hook, what happens,
 * and whether PHP prints its errors.
 */

$break = json_decode( (string) @file_get_contents( __DIR__ . '/break.json' ), true );
if ( ! $break || 'cli' === PHP_SAPI ) {
	return;
}
ini_set( 'display_errors', $break['display'] );
ini_set( 'html_errors', $break['html'] );

add_action(
	$break['hook'],
	function () use ( $break ) {
		switch ( $break['what'] ) {
			case 'fatal':
				this_function_is_nowhere();
			case 'exception':
				throw new RuntimeException( 'a plugin gives up' );
			case 'memory':
				str_repeat( 'x', 1 << 30 );
			case 'time':
				set_time_limit( 1 );
				while ( true );
			case 'error':
				trigger_error( 'a plugin is cross', E_USER_ERROR );
				exit;
			case 'parse':
				eval( 'this is no PHP' );
			case 'warning':
				trigger_error( 'a plugin is worried', E_USER_WARNING );
				break;
			case 'exit':
				exit;
			case 'die':
				die( 'Something went wrong, sorry.' );
			case 'wp_die':
				wp_die( 'A plugin says no.' );
			case 'wp_die_200':
				wp_die( 'A plugin says no.', 'No', array( 'response' => 200 ) );
			case 'database':
				dead_db();
			case 'kill':
				while ( ob_get_level() ) {
					ob_end_flush();
				}
				flush();
				exec( 'kill -9 ' . getmypid() );
				sleep( 5 );
			case 'nocache':
				nocache_headers();
				break;
			case 'cookie':
				setcookie( 'visitor', bin2hex( random_bytes( 8 ) ), time() + 3600, '/' );
				break;
			case 'session':
				session_start();
				break;
			case 'charset':
				header( 'Content-Type: text/html; charset=ISO-8859-1' );
				break;
			case 'type':
				header( 'Content-Type: application/octet-stream' );
				break;
			case 'unavailable':
				status_header( 503 );
				break;
			case 'user':
				wp_set_current_user( 1 );
				break;
			case 'login':
				auth_redirect();
			case 'busy':
				wp_safe_redirect( home_url( '/wp-admin/install.php' ) );
				exit;
		}
	},
	1
);
