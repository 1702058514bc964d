<?php
/**
 * Changes: what this request has changed, gathered in memory and written at its end as one row of the journal.
 *
 * @package staticify
 */

namespace Staticify;

defined( 'ABSPATH' ) || exit;

/**
 * Before something changes it is touched: how it was is remembered. At the end it is looked at again, and only the
 * difference counts: what was changed twice, or back, or not at all, is told as what it came to.
 */
final class Changes {
	/**
	 * A request that takes long writes a row now and then, so that its first changes are not told with its last.
	 */
	const SECONDS_IN_A_ROW = 2;
	const TAGS_IN_A_ROW    = 1000;
	const TOUCHED_IN_A_ROW = 200;

	/**
	 * What no row goes beyond: more tags are everything, more addresses are several rows.
	 */
	const MOST_TAGS      = 2000;
	const MOST_ADDRESSES = 500;

	/**
	 * How often something that is another way yet in nothing is looked at before the end.
	 */
	const LOOKS = 3;

	/**
	 * How things were: blog, then "post:12", then a snapshot, or null for what was not there.
	 *
	 * @var array<int,array<string,array<string,mixed>|null>>
	 */
	private static $before = array();

	/**
	 * What is certain: blog, then tags, urls, gone; each a set.
	 *
	 * @var array<int,array<string,array<string,bool>>>
	 */
	private static $certain = array();

	/**
	 * When the first change was seen that no row tells of.
	 *
	 * @var float
	 */
	private static $since = 0.0;

	/**
	 * How many things have been touched since.
	 *
	 * @var int
	 */
	private static $touched = 0;

	/**
	 * The last row written: blog and position.
	 *
	 * @var array<int,int>
	 */
	private static $written = array();

	/**
	 * Is somebody looking at things in order to write them down?
	 *
	 * @var bool
	 */
	private static $is_settling = false;

	/**
	 * The posts that are being looked at for the same row.
	 *
	 * @var int[]
	 */
	private static $posts = array();

	/**
	 * Has WordPress been told, if only for a while, to leave its caches alone?
	 *
	 * @var bool
	 */
	private static $are_caches_old = false;

	/**
	 * Remember how something is, because it is about to change.
	 *
	 * @param string   $kind "post", "term", "count" or "user".
	 * @param int      $id   Its number.
	 * @param callable $how  Gives the snapshot; asked only the first time.
	 */
	public static function touch( string $kind, int $id, callable $how ): void {
		$key  = "$kind:$id";
		$blog = get_current_blog_id();
		if ( self::$is_settling ) {
			return;
		}
		self::make_room();
		if ( ! isset( self::$before[ $blog ] ) || ! array_key_exists( $key, self::$before[ $blog ] ) ) {
			self::$before[ $blog ][ $key ] = $how();
			++self::$touched;
		}
		self::begin();
	}

	/**
	 * It was not there before this request.
	 *
	 * @param string $kind "post", "term" or "user".
	 * @param int    $id   Its number.
	 */
	public static function made( string $kind, int $id ): void {
		if ( ! self::$is_settling ) {
			self::make_room();
		}
		self::$before[ get_current_blog_id() ][ "$kind:$id" ] = null;
		++self::$touched;
		self::begin();
	}

	/**
	 * It is certain that something that was touched is another way now, though a snapshot does not show it.
	 *
	 * @param string $kind "post", "term" or "user".
	 * @param int    $id   Its number.
	 */
	public static function differs( string $kind, int $id ): void {
		$blog = get_current_blog_id();
		if ( isset( self::$before[ $blog ][ "$kind:$id" ] ) ) {
			self::$before[ $blog ][ "$kind:$id" ]['differs'] = true;
		}
	}

	/**
	 * Is it remembered how this was?
	 *
	 * @param string $kind "post", "term" or "user".
	 * @param int    $id   Its number.
	 */
	public static function is_touched( string $kind, int $id ): bool {
		return array_key_exists( "$kind:$id", self::$before[ get_current_blog_id() ] ?? array() );
	}

	/**
	 * Say for certain what a row must hold.
	 *
	 * @param string[] $tags What the changed pages carry.
	 * @param string[] $urls Pages that are public now and new or changed.
	 * @param string[] $gone Pages that ceased to be public.
	 */
	public static function add( array $tags, array $urls = array(), array $gone = array() ): void {
		$blog = get_current_blog_id();
		foreach ( $tags as $tag ) {
			self::$certain[ $blog ]['tags'][ clean_tag( $tag ) ] = true;
		}
		foreach ( array_filter( $urls ) as $url ) {
			self::$certain[ $blog ]['urls'][ $url ] = true;
		}
		foreach ( array_filter( $gone ) as $url ) {
			self::$certain[ $blog ]['gone'][ $url ] = true;
		}
		self::begin();
		if ( ! self::$is_settling ) {
			self::make_room();
		}
	}

	/**
	 * The posts that are being looked at for the same row: each of them finds the others as they are by now.
	 *
	 * @return int[]
	 */
	public static function posts(): array {
		return self::$posts;
	}

	/**
	 * The clock of the row begins with its first change.
	 */
	private static function begin(): void {
		self::$are_caches_old = self::$are_caches_old || ! empty( $GLOBALS['_wp_suspend_cache_invalidation'] );
		if ( ! self::$since ) {
			self::$since = microtime( true );
		}
	}

	/**
	 * Write what there is if it has become much, or old.
	 */
	private static function make_room(): void {
		$blog    = get_current_blog_id();
		$is_old  = self::$since && microtime( true ) - self::$since > self::SECONDS_IN_A_ROW;
		$is_much = self::$touched > self::TOUCHED_IN_A_ROW
			|| count( self::$certain[ $blog ]['tags'] ?? array() ) > self::TAGS_IN_A_ROW;
		if ( $is_old || $is_much ) {
			self::write( false );
		}
	}

	/**
	 * Write a row for each blog in which something changed.
	 *
	 * @param bool $is_last True at the request's end.
	 */
	public static function write( bool $is_last = true ): void {
		if ( self::$is_settling || ( ! self::$before && ! self::$certain ) ) {
			return;
		}
		self::$is_settling = true;
		foreach ( array_keys( self::$before + self::$certain ) as $blog ) {
			$is_elsewhere = get_current_blog_id() !== $blog;
			if ( $is_elsewhere ) {
				switch_to_blog( $blog );
			}
			self::settle( $blog, $is_last );
			self::write_row( $blog );
			if ( $is_elsewhere ) {
				restore_current_blog();
			}
		}
		self::$certain     = array();
		self::$since       = 0.0;
		self::$touched     = 0;
		self::$is_settling = false;
	}

	/**
	 * Compare how things were with how they are.
	 *
	 * @param int  $blog    The blog.
	 * @param bool $is_last If not, something may be half done, or not begun: it is looked at again.
	 */
	private static function settle( int $blog, bool $is_last ): void {
		$all         = self::$before[ $blog ] ?? array();
		self::$posts = array();
		foreach ( array_keys( $all ) as $key ) {
			if ( 0 === strpos( $key, 'post:' ) ) {
				self::$posts[] = (int) substr( $key, 5 );
			}
		}
		foreach ( $all as $key => $before ) {
			list( $kind, $id ) = explode( ':', $key );
			$looks             = $before['looks'] ?? 0;
			$is_told           = isset( $before['told'] );
			if ( ! $is_last && $looks >= self::LOOKS ) {
				continue;
			}
			unset( self::$before[ $blog ][ $key ], $before['looks'], $before['told'] );
			try {
				$after = self::compare( $kind, (int) $id, $before );
			} catch ( \Throwable $fault ) {
				// Whatever it was, it did change something.
				self::add( array( 'site' ) );
				continue;
			}
			if ( $is_last || null === $after ) {
				continue;
			}
			if ( $before === $after ) {
				self::$before[ $blog ][ $key ] = $after + array( 'looks' => $looks + 1 ) + ( $is_told ? array( 'told' => true ) : array() );
			} elseif ( ! $is_told ) {
				self::$before[ $blog ][ $key ] = $after + array( 'told' => true );
			}
		}
	}

	/**
	 * Look at one thing again, and say what the difference means.
	 *
	 * @param string                   $kind   "post", "term", "count" or "user".
	 * @param int                      $id     Its number.
	 * @param array<string,mixed>|null $before How it was.
	 * @return array<string,mixed>|null How it is.
	 */
	private static function compare( string $kind, int $id, ?array $before ): ?array {
		if ( self::$are_caches_old ) {
			wp_cache_delete( $id, $kind . 's' );
			wp_cache_delete( 'last_changed', 'terms' );
		}
		switch ( $kind ) {
			case 'post':
				$after = post_snapshot( $id );
				tell_post( $id, $before, $after );
				break;
			case 'count':
				$after = count_snapshot( $id );
				tell_count( $before, $after );
				break;
			case 'term':
				$after = term_snapshot( $id );
				tell_term( $id, $before, $after );
				break;
			default:
				$after = user_snapshot( $id );
				tell_user( $id, $before, $after );
		}
		return $after;
	}

	/**
	 * The row itself.
	 *
	 * @param int $blog The blog.
	 */
	private static function write_row( int $blog ): void {
		$row = ( self::$certain[ $blog ] ?? array() ) + array(
			'tags' => array(),
			'urls' => array(),
			'gone' => array(),
		);
		// Gone and there again: a page that another one has taken the address of.
		$gone = array_diff_key( $row['gone'], $row['urls'] );
		if ( ! $row['tags'] && ! $row['urls'] && ! $gone ) {
			return;
		}
		$is_site = isset( $row['tags']['site'] ) || count( $row['tags'] ) > self::MOST_TAGS;
		$tags    = $is_site ? array( 'site' ) : array_map( 'strval', array_keys( $row['tags'] ) );
		$urls    = array_chunk( array_keys( $row['urls'] ), self::MOST_ADDRESSES );
		$gone    = array_chunk( array_keys( $gone ), self::MOST_ADDRESSES );
		for ( $part = 0; $part < max( 1, count( $urls ), count( $gone ) ); $part++ ) {
			$position = Journal::append( $part ? array() : $tags, $urls[ $part ] ?? array(), $gone[ $part ] ?? array() );
			if ( $position ) {
				self::$written[ $blog ] = $position;
			}
		}
	}

	/**
	 * The last row of each blog that this request has written.
	 *
	 * @return array<int,int>
	 */
	public static function written(): array {
		return self::$written;
	}
}

// Who deletes a meta field of all objects at once tells of object 0. Whose they are is known as long as they are there.
foreach ( array( 'post', 'term', 'user', 'comment' ) as $staticify_kind ) {
	add_action(
		"delete_{$staticify_kind}_meta",
		static function ( $numbers, $id, $key ) use ( $staticify_kind ) {
			global $wpdb;
			if ( $id ) {
				return;
			}
			$table   = _get_meta_table( $staticify_kind );
			$column  = 'user' === $staticify_kind ? 'umeta_id' : 'meta_id';
			$numbers = implode( ',', array_map( 'intval', (array) $numbers ) );
			// phpcs:ignore WordPress.DB -- numbers and names only.
			$owners = $numbers ? $wpdb->get_col( "SELECT DISTINCT {$staticify_kind}_id FROM $table WHERE $column IN ($numbers)" ) : array();
			foreach ( $owners as $owner ) {
				$is_shown = call_user_func( __NAMESPACE__ . "\\change_{$staticify_kind}_meta", $numbers, (int) $owner, $key );
				if ( $is_shown && count( $owners ) > Changes::TOUCHED_IN_A_ROW ) {
					Changes::add( array( 'site' ) );
					break;
				}
			}
		},
		10,
		3
	);
}
unset( $staticify_kind );

/*
 * Before WordPress lets go of the answer (it flushes at priority 1), so that what the author is told is saved is in the
 * journal. And once more at the very end, which comes after a fatal error too, for what changed in between.
 */
add_action(
	'shutdown',
	static function () {
		Changes::write();
	},
	0
);
register_shutdown_function(
	static function () {
		Changes::write();
		if ( Changes::written() ) {
			// After all others that wait for the end.
			register_shutdown_function( __NAMESPACE__ . '\tell_staticify' );
		}
	}
);
