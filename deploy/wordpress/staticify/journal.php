<?php
/**
 * The journal: one row for each request that changed something public.
 *
 * @package staticify
 */

namespace Staticify;

defined( 'ABSPATH' ) || exit;

/**
 * Something that WordPress can do only when it is loaded as a whole.
 */
final class NeedsWordPress extends \Exception {}

/**
 * The table, and the option that names its incarnation.
 */
final class Journal {
	const OPTION  = 'staticify_journal';
	const VERSION = 1;

	const ROWS_KEPT         = 10000;
	const ROWS_IN_AN_ANSWER = 500;
	const BYTES_IN_ANSWER   = 1000000;

	/**
	 * A number that is missing between two rows may belong to a request that is writing just now; after this many
	 * seconds it belongs to one that failed.
	 */
	const GAP_SECONDS = 5;

	/**
	 * The table of the present blog.
	 */
	public static function table(): string {
		global $wpdb;
		return $wpdb->prefix . 'staticify_journal';
	}

	/**
	 * The incarnation's name; makes the table if there is none.
	 */
	public static function id(): string {
		$option = get_option( self::OPTION );
		if ( is_array( $option ) && self::VERSION === ( $option['version'] ?? 0 ) && ! empty( $option['id'] ) ) {
			return (string) $option['id'];
		}
		return self::create();
	}

	/**
	 * Make the table, if there is none, and begin a new incarnation: whoever reads starts over.
	 *
	 * @throws NeedsWordPress With SHORTINIT.
	 */
	public static function create(): string {
		global $wpdb;
		if ( SHORTINIT ) {
			throw new NeedsWordPress();
		}
		$table   = self::table();
		$charset = $wpdb->get_charset_collate();
		// phpcs:disable WordPress.DB -- a table of our own.
		$wpdb->query(
			"CREATE TABLE IF NOT EXISTS `$table` (
			position bigint(20) unsigned NOT NULL AUTO_INCREMENT,
			time bigint(20) unsigned NOT NULL,
			entry longtext NOT NULL,
			PRIMARY KEY  (position)
			) $charset"
		);
		// phpcs:enable
		$id = bin2hex( random_bytes( 16 ) );
		update_option(
			self::OPTION,
			array(
				'version' => self::VERSION,
				'id'      => $id,
			),
			true
		);
		return $id;
	}

	/**
	 * Add a row.
	 *
	 * @param string[] $tags What the changed pages carry.
	 * @param string[] $urls Pages that are public now and new or changed.
	 * @param string[] $gone Pages that ceased to be public.
	 * @return int The row's position, 0 if it could not be written.
	 */
	public static function append( array $tags, array $urls, array $gone ): int {
		global $wpdb;
		$entry = wp_json_encode(
			array(
				'tags' => $tags,
				'urls' => $urls,
				'gone' => $gone,
			),
			JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE
		);
		self::id();
		if ( ! self::insert( $entry ) ) {
			// Somebody has removed the table, or it could not be written: a new incarnation makes the reader start over,
			// so that nothing is missed even if this row is lost.
			self::create();
			if ( ! self::insert( $entry ) ) {
				return 0;
			}
		}
		$position = (int) $wpdb->insert_id;
		if ( 0 === $position % 100 && $position > self::ROWS_KEPT ) {
			$table = self::table();
			// phpcs:ignore WordPress.DB -- a table of our own.
			$wpdb->query( $wpdb->prepare( "DELETE FROM `$table` WHERE position <= %d", $position - self::ROWS_KEPT ) );
		}
		return $position;
	}

	/**
	 * One INSERT.
	 *
	 * @param string $entry JSON, which is ASCII: any character set of the table will do.
	 */
	private static function insert( string $entry ): bool {
		global $wpdb;
		$table      = self::table();
		$suppressed = $wpdb->suppress_errors();
		// phpcs:ignore WordPress.DB -- a table of our own.
		$done = $wpdb->query( $wpdb->prepare( "INSERT INTO `$table` (time, entry) VALUES (%d, %s)", time(), $entry ) );
		$wpdb->suppress_errors( $suppressed );
		return (bool) $done;
	}

	/**
	 * The first position that there is, and the last one; zeros if there is none. Null if there is no table.
	 *
	 * @return int[]|null
	 */
	public static function bounds(): ?array {
		global $wpdb;
		$table      = self::table();
		$suppressed = $wpdb->suppress_errors();
		// phpcs:ignore WordPress.DB -- a table of our own.
		$row = $wpdb->get_row( "SELECT MIN(position) AS first, MAX(position) AS last FROM `$table`" );
		$wpdb->suppress_errors( $suppressed );
		return $row ? array( (int) $row->first, (int) $row->last ) : null;
	}

	/**
	 * The bounds, when the last row was written, and when the one at a position was: one question, because most of what
	 * an answer costs is asking. Zeros for what there is not. Null if there is no table.
	 *
	 * @param int $since A position.
	 * @return int[]|null
	 */
	private static function state( int $since ): ?array {
		global $wpdb;
		$table      = self::table();
		$suppressed = $wpdb->suppress_errors();
		// phpcs:ignore WordPress.DB -- a table of our own.
		$row = $wpdb->get_row( $wpdb->prepare( "SELECT MIN(position) AS first, MAX(position) AS last, (SELECT time FROM `$table` ORDER BY position DESC LIMIT 1) AS last_time, (SELECT time FROM `$table` WHERE position = %d) AS since_time FROM `$table`", $since ) );
		$wpdb->suppress_errors( $suppressed );
		return $row ? array( (int) $row->first, (int) $row->last, (int) $row->last_time, (int) $row->since_time ) : null;
	}

	/**
	 * What changed, as PROTOCOL.md has it.
	 *
	 * @param string $known The incarnation that the reader knows, or nothing.
	 * @param int    $since The last position that it has read.
	 * @param int    $time  When that row was written, as it knows; 0 if it does not.
	 * @return array<string,mixed>
	 */
	public static function read( string $known, int $since, int $time = 0 ): array {
		$id    = self::id();
		$state = self::state( $since );
		if ( null === $state ) {
			$id    = self::create();
			$state = array( 0, 0, 0, 0 );
		}
		list( $first, $last, $last_time, $since_time ) = $state;
		$is_whole             = $known === $id && $since <= $last && ( $since === $last || $since >= $first - 1 );
		// From a backup the table comes back shorter, under the same name: by now another row may have that number.
		$is_whole             = $is_whole && ( ! $time || $since < $first || $since_time === $time );
		$answer               = array(
			'version'    => 1,
			'journal'    => $id,
			'position'   => $last,
			'time'       => $last_time,
			'start_over' => ! $is_whole,
			'more'       => false,
			'held'       => false,
			'entries'    => array(),
		);
		return $is_whole && $since < $last ? self::rows( $since ) + $answer : $answer;
	}

	/**
	 * When a row was written; 0 if there is none.
	 *
	 * @param int $position Its position.
	 */
	private static function time_of( int $position ): int {
		global $wpdb;
		$table = self::table();
		// phpcs:ignore WordPress.DB -- a table of our own.
		return (int) $wpdb->get_var( $wpdb->prepare( "SELECT time FROM `$table` WHERE position = %d", $position ) );
	}

	/**
	 * The rows after a position, as far as they are certain and fit.
	 *
	 * @param int $since The last position that was read.
	 * @return array<string,mixed>
	 */
	private static function rows( int $since ): array {
		global $wpdb;
		$table = self::table();
		// phpcs:ignore WordPress.DB -- a table of our own.
		$rows     = $wpdb->get_results( $wpdb->prepare( "SELECT position, time, entry FROM `$table` WHERE position > %d ORDER BY position LIMIT %d", $since, self::ROWS_IN_AN_ANSWER + 1 ) );
		$position = $since;
		$time     = self::time_of( $since );
		$entries  = array();
		$bytes    = 0;
		$more     = false;
		$held     = false;
		foreach ( $rows as $row ) {
			if ( (int) $row->position !== $position + 1 && abs( time() - (int) $row->time ) < self::GAP_SECONDS ) {
				$held = true;
				break;
			}
			if ( count( $entries ) >= self::ROWS_IN_AN_ANSWER || ( $entries && $bytes + strlen( $row->entry ) > self::BYTES_IN_ANSWER ) ) {
				$more = true;
				break;
			}
			$bytes    += strlen( $row->entry );
			$position  = (int) $row->position;
			$time      = (int) $row->time;
			$entry     = json_decode( $row->entry, true );
			$entries[] = array(
				'position' => $position,
				'time'     => $time,
				'tags'     => $entry['tags'] ?? array( 'site' ),
				'urls'     => $entry['urls'] ?? array(),
				'gone'     => $entry['gone'] ?? array(),
			);
		}
		return array(
			'position' => $position,
			'time'     => $time,
			'more'     => $more,
			'held'     => $held,
			'entries'  => $entries,
		);
	}
}
