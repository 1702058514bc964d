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
	 * Remember how something is, because it is about to change.
	 *
	 * @param string   $kind "post", "term" or "user".
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
		self::$before[ get_current_blog_id() ][ "$kind:$id" ] = null;
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
	 * The clock of the row begins with its first change.
	 */
	private static function begin(): void {
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
	 * @param bool $is_last If not, something may be half done: how it is now is remembered for the next time.
	 */
	private static function settle( int $blog, bool $is_last ): void {
		foreach ( self::$before[ $blog ] ?? array() as $key => $before ) {
			list( $kind, $id ) = explode( ':', $key );
			unset( self::$before[ $blog ][ $key ] );
			$is_again = isset( $before['again'] );
			try {
				$after = self::compare( $kind, (int) $id, $before );
			} catch ( \Throwable $fault ) {
				// Whatever it was, it did change something.
				self::add( array( 'site' ) );
				continue;
			}
			if ( ! $is_last && null !== $after && ! $is_again ) {
				self::$before[ $blog ][ $key ] = $after + array( 'again' => true );
			}
		}
	}

	/**
	 * Look at one thing again, and say what the difference means.
	 *
	 * @param string                   $kind   "post", "term" or "user".
	 * @param int                      $id     Its number.
	 * @param array<string,mixed>|null $before How it was.
	 * @return array<string,mixed>|null How it is.
	 */
	private static function compare( string $kind, int $id, ?array $before ): ?array {
		if ( null !== $before ) {
			unset( $before['again'] );
		}
		switch ( $kind ) {
			case 'post':
				$after = post_snapshot( $id, true );
				tell_post( $id, $before, $after );
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
		$tags     = isset( $row['tags']['site'] ) ? array( 'site' => true ) : $row['tags'];
		$position = Journal::append( array_map( 'strval', array_keys( $tags ) ), array_keys( $row['urls'] ), array_keys( $gone ) );
		if ( $position ) {
			self::$written[ $blog ] = $position;
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
