<?php
/**
 * The webhook: "read now", to staticify, after the answer has gone out. One that is lost costs time and nothing else.
 *
 * @package staticify
 */

namespace Staticify;

defined( 'ABSPATH' ) || exit;

/** The option that keeps the last delivery. */
const DELIVERY_OPTION = 'staticify_delivery';

/** While the author waits: for everything together. */
const SECONDS_IN_THE_WAY = 0.01;

/** When nobody waits any more. */
const SECONDS_BEHIND = 0.5;

/**
 * Tell staticify of the rows that this request has written.
 */
function tell_staticify(): void {
	if ( '' === address() || ! keys() ) {
		return;
	}
	$is_behind = 'cli' === PHP_SAPI || let_go();
	$result    = '';
	if ( ! $is_behind && is_to_be_resolved( address() ) ) {
		return; // A dead name server would hold the author up for seconds. Site Health says so.
	}
	foreach ( Changes::written() as $blog => $position ) {
		$is_elsewhere = get_current_blog_id() !== $blog;
		if ( $is_elsewhere ) {
			switch_to_blog( $blog );
		}
		$data   = array(
			'site'     => site_url_of_pages(),
			'journal'  => Journal::id(),
			'position' => $position,
		);
		$result = send( '/webhook', 'changes', $data, $is_behind ? SECONDS_BEHIND : SECONDS_IN_THE_WAY, $is_behind );
		if ( $is_elsewhere ) {
			restore_current_blog();
		}
		if ( ! $is_behind || 0 !== strpos( $result, '202' ) ) {
			break;
		}
	}
	if ( $is_behind ) {
		remember_delivery( $result );
	}
}

/**
 * The site's address, as staticify's configuration has it.
 */
function site_url_of_pages(): string {
	return trailingslashit( home_url() );
}

/**
 * End the answer; the script goes on. False where PHP cannot do that.
 */
function let_go(): bool {
	if ( PHP_SESSION_ACTIVE === session_status() ) {
		session_write_close();
	}
	if ( function_exists( 'fastcgi_finish_request' ) ) {
		return fastcgi_finish_request();
	}
	if ( function_exists( 'litespeed_finish_request' ) ) {
		return litespeed_finish_request();
	}
	return false;
}

/**
 * Does an address have a name that only a name server knows? No time-out holds for that.
 *
 * @param string $address As socket_of() takes it.
 */
function is_to_be_resolved( string $address ): bool {
	list( $target, $host ) = socket_of( $address );
	$name                  = trim( (string) preg_replace( '/:[0-9]+\z/', '', $host ), '[]' );
	return 0 === strpos( $target, 'tcp:' ) && 'localhost' !== strtolower( $name ) && ! filter_var( $name, FILTER_VALIDATE_IP );
}

/**
 * Can PHP end the answer and go on?
 */
function can_let_go(): bool {
	return function_exists( 'fastcgi_finish_request' ) || function_exists( 'litespeed_finish_request' );
}

/**
 * Keep what came of a webhook, for the settings screen: not in the author's time, and not for each one.
 *
 * @param string $result What send() said.
 */
function remember_delivery( string $result ): void {
	$last = get_option( DELIVERY_OPTION );
	if ( ! is_array( $last ) || $last['result'] !== $result || time() - $last['time'] >= 10 ) {
		update_option(
			DELIVERY_OPTION,
			array(
				'time'   => time(),
				'result' => $result,
			),
			false
		);
	}
}

/**
 * Send one signed POST.
 *
 * @param string              $path       "/webhook" or "/purge".
 * @param string              $type       The type that the body names.
 * @param array<string,mixed> $data       What it says.
 * @param float               $seconds    For everything together.
 * @param bool                $is_awaited Read the answer's first line?
 * @return string That line without "HTTP/1.1 ", "sent", or why not.
 */
function send( string $path, string $type, array $data, float $seconds, bool $is_awaited ): string {
	$keys = keys();
	if ( ! $keys || '' === address() ) {
		return $keys ? 'no address' : 'no secret';
	}
	$body    = wp_json_encode(
		array(
			'type'      => $type,
			'timestamp' => gmdate( 'Y-m-d\TH:i:s\Z' ),
			'data'      => $data,
		),
		JSON_UNESCAPED_SLASHES
	);
	$headers = array(
		'Content-Type'   => 'application/json',
		'Content-Length' => strlen( $body ),
		'Connection'     => 'close',
	) + signed_headers( $body );
	return post( $path, $headers, $body, $seconds, $is_awaited );
}

/**
 * One HTTP request over a socket of its own: WordPress's functions would wait for longer than this may take.
 *
 * @param string                   $path       The request's path.
 * @param array<string,string|int> $headers    Header fields, but for Host.
 * @param string                   $body       The body; a GET if there is none.
 * @param float                    $seconds    For everything together.
 * @param bool                     $is_awaited Read the answer's first line?
 */
function post( string $path, array $headers, string $body, float $seconds, bool $is_awaited ): string {
	list( $target, $host ) = socket_of( address() );
	if ( '' === $target ) {
		return 'the address is neither http://HOST:PORT nor unix:/PATH';
	}
	$until = microtime( true ) + $seconds;
	// phpcs:disable WordPress.PHP.NoSilencedErrors, WordPress.WP.AlternativeFunctions -- a dead staticify is no event.
	$socket = @stream_socket_client( $target, $number, $reason, $seconds );
	if ( ! $socket ) {
		return '' === (string) $reason ? 'no connection' : (string) $reason;
	}
	stream_set_blocking( $socket, false );
	$text = ( '' === $body ? 'GET' : 'POST' ) . " $path HTTP/1.1\r\nHost: $host\r\n";
	foreach ( $headers as $name => $value ) {
		$text .= "$name: $value\r\n";
	}
	// It is smaller than any socket's buffer: it goes at once, or not at all.
	$text .= "\r\n$body";
	$sent  = @fwrite( $socket, $text );
	if ( strlen( $text ) !== $sent ) {
		fclose( $socket );
		return 'the connection takes nothing';
	}
	$answer = '';
	while ( $is_awaited && false === strpos( $answer, "\r\n" ) ) {
		$left  = $until - microtime( true );
		$read  = array( $socket );
		$write = null;
		$other = null;
		if ( $left <= 0 || ! @stream_select( $read, $write, $other, 0, (int) ( $left * 1000000 ) ) ) {
			$answer = 'HTTP/1.1 no answer in time';
			break;
		}
		$bytes = fread( $socket, 1024 );
		if ( '' === $bytes || false === $bytes ) {
			break;
		}
		$answer .= $bytes;
	}
	fclose( $socket );
	// phpcs:enable
	return $is_awaited ? trim( substr( strtok( $answer . "\r\n", "\r\n" ), 9 ) ) : 'sent';
}

/**
 * What PHP calls an address, and the Host that belongs to it.
 *
 * @param string $address "http://HOST:PORT" or "unix:/PATH".
 * @return string[]
 */
function socket_of( string $address ): array {
	if ( preg_match( '~\Aunix:(?://)?(/.+)\z~', $address, $parts ) ) {
		return array( 'unix://' . $parts[1], 'localhost' );
	}
	if ( preg_match( '~\Ahttp://((?:\[[0-9a-f:.]+\]|[a-z0-9.-]+):[0-9]+)\z~i', $address, $parts ) ) {
		return array( 'tcp://' . $parts[1], $parts[1] );
	}
	return array( '', '' );
}
