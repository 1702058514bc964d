<?php
/**
 * The endpoint: what changed since N, answered before WordPress loads its other plugins and the theme.
 *
 * @package staticify
 */

namespace Staticify;

defined( 'ABSPATH' ) || exit;

/** A question is some eighty bytes long. */
const MAX_QUESTION_BYTES = 16384;

/**
 * Answer, and end the request.
 */
function answer_changes(): void {
	$body  = (string) file_get_contents( 'php://input', false, null, 0, MAX_QUESTION_BYTES + 1 );
	$fault = fault_of_signature( $_SERVER, $body );
	if ( '' === $fault && 'POST' !== ( $_SERVER['REQUEST_METHOD'] ?? '' ) ) {
		$fault = 'a POST is needed';
	}
	if ( '' !== $fault ) {
		answer( 401, array( 'error' => $fault ) );
	}
	$question = json_decode( $body, true );
	$time     = $question['time'] ?? 0;
	if ( ! is_array( $question ) || ! is_string( $question['journal'] ?? null ) || ! is_int( $question['since'] ?? null ) || $question['since'] < 0 || ! is_int( $time ) ) {
		answer( 400, array( 'error' => 'a JSON object with journal and since is needed' ) );
	}
	$also = array(
		// Whether that is ours to turn may be said by another must-use plugin: the usual answer knows.
		'cron_due_at' => SHORTINIT ? next_event_at() : cron_due_at(),
		'direct'      => direct_path(),
	);
	answer( 200, Journal::read( $question['journal'], $question['since'], $time ) + $also );
}

/**
 * The path of direct.php in the site's address; nothing where it could not answer, or where that is not certain.
 */
function direct_path(): string {
	// With SHORTINIT nothing says yet where plugins are, and only what WordPress itself has by then is in its place.
	if ( SHORTINIT || is_multisite() || ! is_same_file( ABSPATH, dirname( WP_CONTENT_DIR ) ) ) {
		return '';
	}
	if ( ! is_same_file( __DIR__, WPMU_PLUGIN_DIR . '/staticify' ) || ! is_plugin_loaded( WPMU_PLUGIN_DIR ) ) {
		return '';
	}
	return (string) wp_parse_url( site_url( basename( WP_CONTENT_DIR ) . '/mu-plugins/staticify/direct.php' ), PHP_URL_PATH );
}

/**
 * Does WordPress load the plugin from a folder, whatever others say? One that is only still there writes no journal: an
 * answer out of that would say that nothing changes. An ordinary plugin may be switched off by a filter, for a while.
 *
 * @param string $plugins The folder.
 */
function is_plugin_loaded( string $plugins ): bool {
	return 'mu-plugins' === basename( $plugins )
		&& is_same_file( WP_CONTENT_DIR, dirname( $plugins ) )
		&& is_used( 'WPMU_PLUGIN_DIR', $plugins )
		&& is_file( "$plugins/staticify-loader.php" );
}

/**
 * Is a folder the one that a constant names? With SHORTINIT the constant is there only if wp-config.php has set it.
 *
 * @param string $constant Its name.
 * @param string $folder   The folder, at its usual place.
 */
function is_used( string $constant, string $folder ): bool {
	return ! defined( $constant ) || is_same_file( constant( $constant ), $folder );
}

/**
 * Do two paths lead to the same place, whatever links are on the way?
 *
 * @param string $one   A path.
 * @param string $other Another one.
 */
function is_same_file( string $one, string $other ): bool {
	$real = realpath( $one );
	return false !== $real && realpath( $other ) === $real;
}

/**
 * Send JSON, and end the request.
 *
 * @param int                 $status HTTP status.
 * @param array<string,mixed> $answer What to say.
 * @return never
 */
function answer( int $status, array $answer ): void {
	http_response_code( $status );
	header( 'Content-Type: application/json' );
	header( 'Cache-Control: no-store' );
	echo wp_json_encode( $answer, JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE );
	exit;
}
