<?php
/**
 * Signatures, after Standard Webhooks.
 *
 * @package staticify
 */

namespace Staticify;

defined( 'ABSPATH' ) || exit;

/** How far a time stamp may be from this clock. */
const TOLERANCE_SECONDS = 300;

/**
 * The keys in a text of secrets: those that are no secrets are left out.
 *
 * @param string $text Secrets with white space between them, each whsec_ and base64.
 * @return string[] Their bytes; the first one signs.
 */
function keys_of( string $text ): array {
	$keys = array();
	foreach ( preg_split( '/\s+/', $text, -1, PREG_SPLIT_NO_EMPTY ) as $secret ) {
		if ( 0 !== strpos( $secret, 'whsec_' ) ) {
			continue;
		}
		// phpcs:ignore WordPress.PHP.DiscouragedPHPFunctions -- the form of the secret.
		$key = base64_decode( substr( $secret, 6 ), true );
		if ( false !== $key && strlen( $key ) >= 24 && strlen( $key ) <= 64 ) {
			$keys[] = $key;
		}
	}
	return $keys;
}

/**
 * The keys of this site.
 *
 * @return string[]
 */
function keys(): array {
	return keys_of( (string) setting( 'secret' ) );
}

/**
 * A new secret.
 */
function new_secret(): string {
	// phpcs:ignore WordPress.PHP.DiscouragedPHPFunctions -- the form of the secret.
	return 'whsec_' . base64_encode( random_bytes( 32 ) );
}

/**
 * One signature.
 *
 * @param string $key       Bytes of the secret.
 * @param string $id        The webhook-id.
 * @param string $timestamp Seconds since the epoch.
 * @param string $body      What is sent.
 */
function signature( string $key, string $id, string $timestamp, string $body ): string {
	// phpcs:ignore WordPress.PHP.DiscouragedPHPFunctions -- the form of the signature.
	return 'v1,' . base64_encode( hash_hmac( 'sha256', "$id.$timestamp.$body", $key, true ) );
}

/**
 * The three header fields for a request of ours.
 *
 * @param string $body What is sent.
 * @return array<string,string>
 */
function signed_headers( string $body ): array {
	$id        = 'wp_' . bin2hex( random_bytes( 16 ) );
	$timestamp = (string) time();
	return array(
		'webhook-id'        => $id,
		'webhook-timestamp' => $timestamp,
		'webhook-signature' => signature( keys()[0], $id, $timestamp, $body ),
	);
}

/**
 * Why a request is not signed well; nothing if it is.
 *
 * @param string[] $server $_SERVER, before WordPress adds slashes or after: the values hold none.
 * @param string   $body   What came.
 */
function fault_of_signature( array $server, string $body ): string {
	$keys       = keys();
	$id         = (string) ( $server['HTTP_WEBHOOK_ID'] ?? '' );
	$timestamp  = (string) ( $server['HTTP_WEBHOOK_TIMESTAMP'] ?? '' );
	$signatures = (string) ( $server['HTTP_WEBHOOK_SIGNATURE'] ?? '' );
	if ( ! $keys ) {
		return 'WordPress has no secret';
	}
	if ( ! preg_match( '/\A[A-Za-z0-9._-]{1,64}\z/', $id ) || ! preg_match( '/\A[0-9]{1,12}\z/', $timestamp ) || '' === $signatures ) {
		return 'not signed';
	}
	if ( abs( time() - (int) $timestamp ) > TOLERANCE_SECONDS ) {
		return 'the time stamp is more than ' . TOLERANCE_SECONDS . ' s from the clock of WordPress';
	}
	$is_good = false;
	foreach ( array_slice( explode( ' ', $signatures ), 0, 8 ) as $given ) {
		foreach ( $keys as $key ) {
			// No early way out: how long it takes says nothing.
			$is_good = hash_equals( signature( $key, $id, $timestamp, $body ), $given ) || $is_good;
		}
	}
	return $is_good ? '' : 'the signature is not good';
}

/**
 * Does staticify ask for a page, to be labelled?
 */
function is_render(): bool {
	// phpcs:ignore WordPress.Security.ValidatedSanitizedInput -- compared only.
	return 'render' === ( $_SERVER['HTTP_WEBHOOK_ID'] ?? '' ) && '' === fault_of_signature( $_SERVER, '' );
}
