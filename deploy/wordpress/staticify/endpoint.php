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
	answer( 200, Journal::read( $question['journal'], $question['since'], $time ) + array( 'cron_due_at' => cron_due_at() ) );
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
