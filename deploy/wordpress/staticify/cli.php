<?php
/**
 * The commands `wp staticify status|purge|changes`.
 *
 * @package staticify
 */

namespace Staticify;

defined( 'ABSPATH' ) || exit;

/**
 * Speaks with the page cache staticify.
 */
final class Command {
	/**
	 * Shows the settings that count, the journal, and whether staticify answers.
	 */
	public function status(): void {
		$id     = Journal::id();
		$bounds = Journal::bounds();
		$due    = cron_due_at();
		\WP_CLI::line( 'address  ' . ( '' === address() ? 'none' : address() ) );
		\WP_CLI::line( 'secrets  ' . count( keys() ) );
		\WP_CLI::line( "journal  $id, positions " . ( $bounds ? "$bounds[0] to $bounds[1]" : 'none' ) );
		\WP_CLI::line( 'cron     ' . ( null === $due ? 'not turned by staticify' : gmdate( 'Y-m-d H:i:s', $due ) . ' UTC' ) );
		$answer = '' === address() ? 'no address' : post( '/healthz', array( 'Connection' => 'close' ), '', 1, true );
		if ( 0 === strpos( $answer, '200' ) ) {
			\WP_CLI::success( "staticify answers: $answer" );
		} else {
			\WP_CLI::error( "staticify does not answer: $answer" );
		}
	}

	/**
	 * Has pages rendered anew.
	 *
	 * ## OPTIONS
	 *
	 * [<url>...]
	 * : Addresses of pages.
	 *
	 * [--tag=<tags>]
	 * : Tags, with commas between them.
	 *
	 * [--all]
	 * : Every page of the site.
	 *
	 * @param string[]            $urls    Addresses.
	 * @param array<string,mixed> $options Tags, or all.
	 */
	public function purge( array $urls, array $options ): void {
		$tags = array_values( array_filter( explode( ',', (string) ( $options['tag'] ?? '' ) ) ) );
		$all  = ! empty( $options['all'] );
		if ( ! $urls && ! $tags && ! $all ) {
			\WP_CLI::error( 'Say which: addresses, --tag=TAG, or --all.' );
		}
		$answer = purge(
			array(
				'urls' => $urls,
				'tags' => $tags,
				'all'  => $all,
			)
		);
		if ( 0 === strpos( $answer, '2' ) ) {
			\WP_CLI::success( $answer );
		} else {
			\WP_CLI::error( $answer );
		}
	}

	/**
	 * Shows what the journal holds.
	 *
	 * ## OPTIONS
	 *
	 * [--since=<position>]
	 * : The last position that is known; the last ten rows without it.
	 *
	 * @param string[]            $unused  Nothing.
	 * @param array<string,mixed> $options Since.
	 */
	public function changes( array $unused, array $options ): void {
		$id     = Journal::id();
		$bounds = Journal::bounds();
		$since  = isset( $options['since'] ) ? (int) $options['since'] : max( 0, ( $bounds[1] ?? 0 ) - 10, ( $bounds[0] ?? 1 ) - 1 );
		$answer = Journal::read( $id, $since );
		if ( $answer['start_over'] ) {
			\WP_CLI::error( 'The journal does not reach back that far.' );
		}
		foreach ( $answer['entries'] as $entry ) {
			\WP_CLI::line( (string) wp_json_encode( $entry, JSON_UNESCAPED_SLASHES ) );
		}
	}
}

\WP_CLI::add_command( 'staticify', Command::class );
