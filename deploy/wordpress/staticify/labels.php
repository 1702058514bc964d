<?php
/**
 * Labels: what a page is made of, noted while WordPress makes it for staticify, and sent with it.
 *
 * @package staticify
 */

namespace Staticify;

defined( 'ABSPATH' ) || exit;

/** So many errors of the database are told of a page, and so much of each: with the label they must fit as it alone. */
const MAX_ERRORS      = 10;
const MAX_ERROR_BYTES = 120;

/**
 * Listens to what the page asks for. It changes nothing: every filter gives back what it got.
 */
final class Labels {
	/**
	 * The tags are the keys.
	 *
	 * @var array<string,bool>
	 */
	private static $tags = array( 'site' => true );

	/**
	 * What the database refused while the page was made.
	 *
	 * @var string[]
	 */
	private static $errors = array();

	/**
	 * Queries for posts, with whether only names are shown of what they find. Read at the end.
	 *
	 * @var array<int,array{0:\WP_Query,1:bool}>
	 */
	private static $queries = array();

	/**
	 * Queries for comments.
	 *
	 * @var array<int,\WP_Comment_Query>
	 */
	private static $comment_queries = array();

	/**
	 * Posts that were read one by one. Of which type they are is known when they have been read.
	 *
	 * @var int[]
	 */
	private static $read = array();

	/**
	 * The parts of the page, from the outside in, that show nothing but names and addresses of posts.
	 *
	 * @var string[]
	 */
	private static $names_only = array();

	/**
	 * The next query is for such a part.
	 *
	 * @var bool
	 */
	private static $is_next_names_only = false;

	/**
	 * The terms of all posts of a query are being read in advance: that shows none of them.
	 *
	 * @var bool
	 */
	private static $is_priming = false;

	/**
	 * A query for posts is under way, perhaps.
	 *
	 * @var bool
	 */
	private static $is_querying = false;

	/**
	 * The main query is under way and nobody will see what it finds.
	 *
	 * @var bool
	 */
	private static $is_hidden = false;

	/**
	 * Has the label been made?
	 *
	 * @var bool
	 */
	private static $is_closed = false;

	/**
	 * Begin: hold the page back, so that its header can be written last, and listen.
	 */
	public static function start(): void {
		ob_start( array( __CLASS__, 'pass' ) );
		add_action( 'shutdown', array( __CLASS__, 'close' ), -1 );
		self::listen_to_posts();
		self::listen_to_terms();
		self::listen_to_people();
		self::listen_to_lists();
		self::listen_to_blocks();
	}

	/**
	 * The page goes out, as it is; before it, its label.
	 *
	 * @param string $page  The bytes.
	 * @param int    $phase What PHP does with them.
	 */
	public static function pass( string $page, int $phase ): string {
		$is_cleaned = $phase & PHP_OUTPUT_HANDLER_CLEAN;
		$is_final   = $phase & PHP_OUTPUT_HANDLER_FINAL;
		if ( ( $is_cleaned && ! $is_final ) || headers_sent() ) {
			return $page;
		}
		// Thrown away, or flushed before its end: nobody knows what comes after.
		if ( $is_cleaned || ! $is_final || ! self::$is_closed ) {
			header( 'Staticify-Tags: *' );
			self::note_errors();
			self::tell_errors();
			return $page;
		}
		header( 'Staticify-Tags: ' . label( self::$tags, MAX_LABEL_BYTES - self::tell_errors() ) );
		if ( defined( 'DONOTCACHEPAGE' ) && DONOTCACHEPAGE ) {
			header( 'Staticify-Do-Not-Cache: DONOTCACHEPAGE' );
		}
		return $page;
	}

	/**
	 * The page has been made: read what the queries have found.
	 */
	public static function close(): void {
		if ( self::$is_closed ) {
			return;
		}
		self::note_errors();
		$queries         = self::$queries;
		$comment_queries = self::$comment_queries;
		try {
			foreach ( $queries as list( $query, $is_names_only ) ) {
				self::note_query( $query, $is_names_only );
			}
			foreach ( $comment_queries as $query ) {
				self::note_comment_query( $query );
			}
			self::note_main_query();
			foreach ( self::$read as $id ) {
				self::add_post( $id, false, (string) get_post_type( $id ) );
			}
		} catch ( \Throwable $fault ) {
			self::$tags = array( '*' => true );
		}
		self::$is_closed = true;
	}

	/**
	 * Note what the database refused until now: the page may lack something.
	 */
	private static function note_errors(): void {
		// WordPress's own list, with those that somebody has suppressed: what a page lacks is not said by its author.
		$errors = array_column( is_array( $GLOBALS['EZSQL_ERROR'] ?? null ) ? $GLOBALS['EZSQL_ERROR'] : array(), 'error_str' );
		self::$errors = array_slice( array_unique( array_map( array( __CLASS__, 'told_error' ), $errors ) ), 0, MAX_ERRORS );
	}

	/**
	 * An error as it is told: in a header field, and later in a log. What it quotes may be a visitor's ("Duplicate entry
	 * ..."), unless it is the name of a table or a column.
	 *
	 * @param mixed $error The database's own words.
	 */
	private static function told_error( $error ): string {
		$error = preg_replace( '/[^\x20-\x7e]+/', ' ', (string) $error );
		if ( ! preg_match( '/^(?:Table|Unknown column|Unknown table) /', $error ) ) {
			$error = preg_replace( "/'.*'/", "'...'", $error );
		}
		return substr( $error, 0, MAX_ERROR_BYTES );
	}

	/**
	 * Say what was noted of errors.
	 *
	 * @return int How many bytes that took.
	 */
	private static function tell_errors(): int {
		header_remove( 'Staticify-Database-Error' );
		$bytes = 0;
		foreach ( self::$errors as $error ) {
			$field  = "Staticify-Database-Error: $error";
			$bytes += strlen( $field ) + 2;
			header( $field, false );
		}
		return $bytes;
	}

	/**
	 * Note a tag.
	 *
	 * @param string $tag The tag.
	 */
	private static function add( string $tag ): void {
		if ( ! self::$is_closed && ! isset( self::$tags[ $tag ] ) ) {
			self::$tags[ clean_tag( $tag ) ] = true;
		}
	}

	/**
	 * Note a post.
	 *
	 * @param int    $id            Its number.
	 * @param bool   $is_names_only Are its name and address all that is shown?
	 * @param string $type          Its type, if known.
	 */
	private static function add_post( int $id, bool $is_names_only = false, string $type = '' ): void {
		if ( $id > 0 && ! isset( INTERNAL_TYPES[ $type ] ) && ! isset( SITE_TYPES[ $type ] ) && ! isset( TEMPLATE_TYPES[ $type ] ) ) {
			// A menu of blocks is a post without a page: whoever finds it shows it.
			$is_names_only = $is_names_only && ( '' === $type || is_post_type_viewable( $type ) );
			self::add( ( $is_names_only ? 'name:' : 'post:' ) . $id );
		}
	}

	/**
	 * Note a user.
	 *
	 * @param int $id Its number, 0 for nobody.
	 */
	private static function add_user( int $id ): void {
		if ( $id > 0 ) {
			self::add( "user:$id" );
		}
	}

	/**
	 * Posts: names and addresses by WordPress's filters, everything else by the queries that find them.
	 */
	private static function listen_to_posts(): void {
		$name = static function ( $value, $post = 0 ) {
			self::add_post( $post instanceof \WP_Post ? $post->ID : (int) $post, true );
			return $value;
		};
		foreach ( array( 'the_title', 'post_link', 'page_link', 'post_type_link', 'attachment_link', 'single_post_title' ) as $filter ) {
			add_filter( $filter, $name, 10, 2 );
		}
		$whole = static function ( $value ) {
			self::add_post( (int) get_the_ID(), (bool) self::$names_only );
			return $value;
		};
		add_filter( 'the_content', $whole );
		add_filter( 'the_excerpt', $whole );
		add_filter( 'the_content_feed', $whole );
		add_filter(
			'get_the_excerpt',
			static function ( $value, $post = null ) {
				self::add_post( $post instanceof \WP_Post ? $post->ID : (int) get_the_ID() );
				return $value;
			},
			10,
			2
		);
		add_filter(
			'get_post_metadata',
			static function ( $value, $id, $key ) {
				if ( '' !== $key && ! isset( self::$tags[ "post:$id" ] ) && '_wp_page_template' !== $key && ! is_bookkeeping( (string) $key ) ) {
					self::add_post( (int) $id, false, (string) get_post_type( (int) $id ) );
				}
				return $value;
			},
			10,
			3
		);
		// A post that is read by its number, from the database: with its text, whoever reads it can do what he likes.
		add_filter(
			'query',
			static function ( $sql ) {
				$id = preg_match( '/\ASELECT \* FROM (\S+) WHERE ID = ([0-9]+) LIMIT 1\s*\z/', $sql, $parts ) && $GLOBALS['wpdb']->posts === $parts[1] ? (int) $parts[2] : 0;
				if ( $id && ! isset( self::$tags[ "post:$id" ] ) && ! self::is_named_only() ) {
					self::$read[] = $id;
				}
				return $sql;
			}
		);
		add_action(
			'pre_get_posts',
			static function ( $query ) {
				self::$is_querying = true;
				if ( $query->is_main_query() ) {
					self::$is_hidden = self::is_unseen( $query );
				}
				// The sticky posts of a list are a query within its own, and in its result.
				if ( self::$is_hidden || ( ! empty( $query->query_vars['post__in'] ) && self::is_called_by( 'get_posts', 14, 2 ) ) ) {
					return;
				}
				$id = spl_object_id( $query );
				if ( isset( self::$queries[ $id ] ) ) {
					// The same object asks again; what it has found before goes away.
					self::note_query( $query, self::$queries[ $id ][1] );
				}
				self::$queries[ $id ]     = array( $query, (bool) self::$names_only || self::$is_next_names_only );
				self::$is_next_names_only = false;
			},
			PHP_INT_MAX
		);
		add_filter(
			'the_posts',
			static function ( $posts, $query ) {
				if ( $query->is_main_query() ) {
					self::$is_hidden = false;
				}
				// A theme may unset what a query has found, or begin the next one with the same object.
				$id = spl_object_id( $query );
				if ( isset( self::$queries[ $id ] ) ) {
					self::note_query( $query, self::$queries[ $id ][1], $posts );
				}
				return $posts;
			},
			PHP_INT_MAX,
			2
		);
		foreach ( array( 'previous', 'next' ) as $side ) {
			add_filter(
				"get_{$side}_post_where",
				static function ( $where, $in_same_term, $excluded, $taxonomy, $post ) {
					self::add( "near:$post->ID" );
					if ( $in_same_term || $excluded ) {
						$terms = wp_get_object_terms( $post->ID, $taxonomy, array( 'fields' => 'ids' ) );
						foreach ( is_array( $terms ) ? $terms : array() as $term ) {
							self::add( "list:$post->post_type/term:$term" );
						}
					}
					if ( $excluded ) {
						self::add( "list:$post->post_type/any" );
					}
					return $where;
				},
				10,
				5
			);
		}
		// Parts of the page that show names and addresses and no more.
		$enter = static function ( $value ) {
			self::$names_only[] = 'wp_list_pages';
			return $value;
		};
		$leave = static function ( $value ) {
			self::leave( 'wp_list_pages' );
			return $value;
		};
		$next  = static function ( $value ) {
			self::$is_next_names_only = true;
			return $value;
		};
		add_filter( 'wp_list_pages_excludes', $enter, PHP_INT_MAX );
		add_filter( 'wp_list_pages', $leave, PHP_INT_MIN );
		add_filter( 'widget_posts_args', $next, PHP_INT_MAX );
		// Sitemaps say since 6.5 when a post was modified.
		if ( version_compare( $GLOBALS['wp_version'], '6.5-alpha', '<' ) ) {
			add_filter( 'wp_sitemaps_posts_query_args', $next, PHP_INT_MAX );
		}
		add_filter(
			'get_pages',
			static function ( $pages, $arguments = array() ) {
				$type   = (string) ( $arguments['post_type'] ?? 'page' );
				$parent = (int) ( $arguments['parent'] ?? -1 );
				// body_class() asks only whether the page has a child.
				$is_asked_only = 1 === (int) ( $arguments['number'] ?? 0 ) && get_queried_object_id() === $parent;
				if ( ! $is_asked_only && self::is_list_of_anything( $arguments ) ) {
					self::add( "list:$type/any" );
				}
				self::add( $parent >= 0 ? "list:$type/parent:$parent" : "list:$type" );
				foreach ( is_array( $pages ) ? $pages : array() as $page ) {
					self::add_post( is_object( $page ) ? (int) $page->ID : (int) $page, $is_asked_only || (bool) self::$names_only );
				}
				return $pages;
			},
			PHP_INT_MAX,
			2
		);
	}

	/**
	 * May a page enter a list of get_pages(), or move in it, by more than its name, order, date and place?
	 *
	 * @param array<string,mixed> $arguments What it was asked for.
	 */
	private static function is_list_of_anything( array $arguments ): bool {
		foreach ( array( 'meta_key', 'meta_value', 'authors', 'number', 'offset' ) as $constraint ) {
			if ( ! empty( $arguments[ $constraint ] ) ) {
				return true;
			}
		}
		$columns = preg_split( '/[\s,]+/', (string) ( $arguments['sort_column'] ?? '' ), -1, PREG_SPLIT_NO_EMPTY );
		// Whoever shows all of them has the names of all of them.
		return (bool) array_diff( $columns, array( 'post_title', 'title', 'post_name', 'name', 'menu_order', 'post_date', 'date', 'post_parent', 'parent', 'ID', 'id' ) );
	}

	/**
	 * Are the terms of all posts that a query finds being read in advance?
	 */
	private static function is_priming(): bool {
		if ( self::$is_priming || ! self::$is_querying ) {
			return self::$is_priming;
		}
		// No hook tells the end of a query without filters.
		self::$is_querying = self::is_called_by( 'get_posts', 14 );
		return self::$is_querying;
	}

	/**
	 * Is this method of a class under way?
	 *
	 * @param string $method Its name.
	 * @param int    $depth  How many calls to look at.
	 * @param int    $times  Within itself?
	 */
	private static function is_called_by( string $method, int $depth, int $times = 1 ): bool {
		// phpcs:ignore WordPress.PHP.DevelopmentFunctions -- names of functions only.
		foreach ( debug_backtrace( DEBUG_BACKTRACE_IGNORE_ARGS, $depth ) as $frame ) {
			if ( $method === $frame['function'] && isset( $frame['class'] ) ) {
				--$times;
			}
		}
		return $times <= 0;
	}

	/**
	 * WordPress's functions that read a post for its name, its address or its standing.
	 */
	const NAMING = array(
		'get_adjacent_post'         => true,
		'get_page_uri'              => true,
		'get_permalink'             => true,
		'get_post_permalink'        => true,
		'get_page_link'             => true,
		'get_attachment_link'       => true,
		'get_comment_link'          => true,
		'get_comments_link'         => true,
		'get_the_title'             => true,
		'get_post_type'             => true,
		'get_post_status'           => true,
		'get_post_ancestors'        => true,
		'get_privacy_policy_url'    => true,
		'get_comments_number'       => true,
		'is_post_publicly_viewable' => true,
		'map_meta_cap'              => true,
		'wp_setup_nav_menu_item'    => true,
	);

	/**
	 * Is a post being read by one of these?
	 */
	private static function is_named_only(): bool {
		// phpcs:ignore WordPress.PHP.DevelopmentFunctions -- names of functions only.
		foreach ( debug_backtrace( DEBUG_BACKTRACE_IGNORE_ARGS, 14 ) as $frame ) {
			if ( ! isset( $frame['class'] ) && isset( self::NAMING[ $frame['function'] ] ) ) {
				return true;
			}
		}
		return false;
	}

	/**
	 * Terms, and lists of them.
	 */
	private static function listen_to_terms(): void {
		add_filter(
			'get_term',
			static function ( $term ) {
				if ( ! $term instanceof \WP_Term || isset( self::$tags[ "term:$term->term_id" ] ) || self::is_priming() ) {
					return $term;
				}
				if ( 'nav_menu' === $term->taxonomy ) {
					self::add( "menu:$term->term_id" );
				} elseif ( ! isset( INTERNAL_TAXONOMIES[ $term->taxonomy ] ) ) {
					self::add( "term:$term->term_id" );
				}
				return $term;
			}
		);
		add_action(
			'pre_get_terms',
			static function ( $query ) {
				$vars             = $query->query_vars;
				self::$is_priming = 'all_with_object_id' === ( $vars['fields'] ?? '' );
				// WordPress keeps the tree of a taxonomy in an option; who makes it anew shows nothing.
				$is_tree = 'id=>parent' === ( $vars['fields'] ?? '' ) && 'all' === ( $vars['get'] ?? '' );
				$is_named = ! empty( $vars['include'] ) && empty( $vars['hide_empty'] );
				if ( ! $is_tree && ! $is_named && empty( $vars['object_ids'] ) && empty( $vars['slug'] ) && empty( $vars['name'] ) && empty( $vars['term_taxonomy_id'] ) ) {
					self::add_list_of_terms( $vars );
				}
			},
			PHP_INT_MAX
		);
		add_filter(
			'get_terms',
			static function ( $terms ) {
				self::$is_priming = false;
				return $terms;
			},
			PHP_INT_MIN
		);
		// Terms of a post may be in the cache already, and are shown all the same.
		add_filter(
			'get_the_terms',
			static function ( $terms ) {
				foreach ( is_array( $terms ) ? $terms : array() as $term ) {
					self::add( "term:$term->term_id" );
				}
				return $terms;
			},
			PHP_INT_MAX
		);
		add_filter(
			'term_link',
			static function ( $link, $term ) {
				self::add( "term:$term->term_id" );
				return $link;
			},
			10,
			2
		);
		add_filter(
			'wp_get_nav_menu_items',
			static function ( $items, $menu ) {
				self::add( "menu:$menu->term_id" );
				foreach ( is_array( $items ) ? $items : array() as $item ) {
					if ( 'post_type' === $item->type ) {
						self::add_post( (int) $item->object_id, true );
					} elseif ( 'taxonomy' === $item->type ) {
						self::add( "term:$item->object_id" );
					}
				}
				return $items;
			},
			PHP_INT_MAX,
			2
		);
	}

	/**
	 * Note a list of terms.
	 *
	 * @param array<string,mixed> $vars What its query asks for.
	 */
	private static function add_list_of_terms( array $vars ): void {
		$is_by_count = 'count' === ( $vars['orderby'] ?? '' );
		// One without the empty ones that is shown as a whole: what it shows it has the tags of.
		$is_plain = ! empty( $vars['hide_empty'] ) && ( empty( $vars['number'] ) || $vars['number'] >= 1000 || $is_by_count );
		foreach ( array_filter( (array) ( $vars['taxonomy'] ?? array() ) ) ?: array_keys( get_taxonomies() ) as $taxonomy ) {
			self::add( $is_plain ? "terms:$taxonomy" : "terms:$taxonomy/any" );
			if ( $is_by_count || self::shows_counts( $vars ) ) {
				self::add( "terms:$taxonomy/count" );
			}
		}
	}

	/**
	 * May whoever lists terms show how many posts they have? WordPress's own lists say whether they do; a sitemap never.
	 *
	 * @param array<string,mixed> $vars What the query asks for.
	 */
	private static function shows_counts( array $vars ): bool {
		if ( ! empty( $vars['pad_counts'] ) || ! empty( $vars['show_count'] ) ) {
			return true;
		}
		$has_counts = in_array( $vars['fields'] ?? 'all', array( 'all', 'all_with_object_id' ), true );
		return $has_counts && ! isset( $vars['show_count'] ) && ! get_query_var( 'sitemap' );
	}

	/**
	 * Users and comments.
	 */
	private static function listen_to_people(): void {
		// WordPress reads the capabilities of every user that it looks up. For each post of a loop it looks up the author;
		// whether he is shown the filters below say.
		add_filter(
			'get_user_metadata',
			static function ( $value, $id ) {
				if ( ! isset( self::$tags[ "user:$id" ] ) && ! self::is_called_by( 'generate_postdata', 14 ) ) {
					self::add_user( (int) $id );
				}
				return $value;
			},
			10,
			2
		);
		$author = static function ( $value ) {
			self::add_user( (int) ( $GLOBALS['authordata']->ID ?? 0 ) );
			return $value;
		};
		add_filter( 'the_author', $author );
		foreach ( array( 'ID', 'display_name', 'nickname', 'first_name', 'last_name', 'description', 'user_description', 'user_nicename', 'user_url', 'url', 'user_email', 'email' ) as $field ) {
			add_filter(
				"get_the_author_$field",
				static function ( $value, $id ) {
					self::add_user( (int) $id );
					return $value;
				},
				10,
				2
			);
		}
		add_filter(
			'author_link',
			static function ( $link, $id ) {
				self::add_user( (int) $id );
				return $link;
			},
			10,
			2
		);
		add_action(
			'pre_get_users',
			static function () {
				self::add( 'users' );
			}
		);
		add_filter(
			'get_comments_number',
			static function ( $count, $post ) {
				self::add( "count:$post" );
				return $count;
			},
			10,
			2
		);
		add_filter(
			'wp_count_comments',
			static function ( $counts, $post ) {
				self::add( $post ? "comments:$post" : 'comments' );
				return $counts;
			},
			10,
			2
		);
		add_action(
			'pre_get_comments',
			static function ( $query ) {
				self::$comment_queries[] = $query;
			}
		);
	}

	/**
	 * Lists that WordPress makes without a query object.
	 */
	private static function listen_to_lists(): void {
		add_filter(
			'getarchives_where',
			static function ( $where, $arguments ) {
				$type = $arguments['post_type'] ?? 'post';
				$is_months = in_array( $arguments['type'] ?? '', array( 'monthly', 'yearly' ), true ) && empty( $arguments['show_post_count'] ) && empty( $arguments['limit'] );
				self::add( $is_months ? "list:$type/months" : "list:$type" );
				return $where;
			},
			10,
			2
		);
		add_filter(
			'get_calendar',
			static function ( $calendar ) {
				self::add( 'list:post' );
				return $calendar;
			}
		);
		add_filter(
			'wp_count_posts',
			static function ( $counts, $type ) {
				self::add( "list:$type" );
				return $counts;
			},
			10,
			2
		);
		// When the newest post was changed: an empty feed says it. That of any feed is in its header fields, which are not
		// kept.
		add_filter(
			'pre_get_lastpostmodified',
			static function ( $value, $timezone, $type = 'any' ) {
				if ( ! self::is_called_by( 'send_headers', 10 ) ) {
					foreach ( 'any' === $type ? get_post_types( array( 'public' => true ) ) : array( $type ) as $one ) {
						self::add( "list:$one/any" );
					}
				}
				return $value;
			},
			10,
			3
		);
		add_filter(
			'get_usernumposts',
			static function ( $count, $id, $types = 'post' ) {
				foreach ( (array) $types as $type ) {
					self::add( "list:$type/user:$id" );
				}
				return $count;
			},
			10,
			3
		);
	}

	/**
	 * Blocks, templates and template parts.
	 */
	private static function listen_to_blocks(): void {
		add_filter(
			'render_block_data',
			static function ( $block ) {
				$name       = $block['blockName'] ?? '';
				$attributes = $block['attrs'] ?? array();
				if ( in_array( $name, array( 'core/block', 'core/navigation' ), true ) && ! empty( $attributes['ref'] ) ) {
					self::add_post( (int) $attributes['ref'] );
				} elseif ( 'core/template-part' === $name && ! empty( $attributes['slug'] ) ) {
					self::add( "template:{$attributes['slug']}" );
				}
				if ( self::shows_names_only( $block ) ) {
					self::$names_only[] = $name;
				}
				return $block;
			},
			PHP_INT_MAX
		);
		add_filter(
			'render_block',
			static function ( $content, $block ) {
				if ( self::shows_names_only( $block ) ) {
					self::leave( $block['blockName'] );
				}
				return $content;
			},
			PHP_INT_MIN,
			2
		);
		if ( ! function_exists( 'wp_is_block_theme' ) ) {
			return;
		}
		// A template that is made later may take the place of the one that was found: all that WordPress looks for count.
		$kinds = array( 'embed', '404', 'search', 'frontpage', 'home', 'privacypolicy', 'taxonomy', 'attachment', 'single', 'page', 'singular', 'category', 'tag', 'author', 'date', 'archive', 'index' );
		foreach ( $kinds as $kind ) {
			add_filter(
				"{$kind}_template_hierarchy",
				static function ( $templates ) {
					if ( wp_is_block_theme() || current_theme_supports( 'block-templates' ) ) {
						foreach ( (array) $templates as $template ) {
							self::add( 'template:' . preg_replace( '/\.(?:php|html)\z/', '', (string) $template ) );
						}
					}
					return $templates;
				},
				PHP_INT_MAX
			);
		}
	}

	/**
	 * A part that shows names only ends. One that began unheard, within another, ends unheard.
	 *
	 * @param string $part Its name.
	 */
	private static function leave( string $part ): void {
		if ( end( self::$names_only ) === $part ) {
			array_pop( self::$names_only );
		}
	}

	/**
	 * Does a block show nothing but names and addresses of posts?
	 *
	 * @param array<string,mixed> $block As it was parsed.
	 */
	private static function shows_names_only( array $block ): bool {
		switch ( $block['blockName'] ?? '' ) {
			case 'core/navigation':
			case 'core/page-list':
			case 'core/navigation-link':
			case 'core/navigation-submenu':
				return true;
			case 'core/latest-posts':
				return empty( $block['attrs']['displayPostContent'] );
			default:
				return false;
		}
	}

	/**
	 * What is asked for by name is there by name.
	 */
	private static function note_main_query(): void {
		global $wp_query;
		if ( ! $wp_query instanceof \WP_Query ) {
			return;
		}
		$object = $wp_query->queried_object;
		if ( $object instanceof \WP_Post ) {
			self::add_post( $object->ID );
			self::add_user( (int) $object->post_author );
		} elseif ( $object instanceof \WP_Term ) {
			self::add( "term:$object->term_id" );
		} elseif ( $object instanceof \WP_User ) {
			self::add( "user:$object->ID" );
		}
		$is_sitemap = $wp_query->get( 'sitemap' );
		$is_found_without = $wp_query->is_singular() && ! $wp_query->posts && ! $wp_query->is_404();
		if ( $is_found_without || ( $is_sitemap && ! wp_sitemaps_get_server()->sitemaps_enabled() ) || ( $wp_query->is_404() && ! $is_sitemap && ! $wp_query->is_robots() ) ) {
			// A sitemap of some plugin's own making; a page that is not there, and may be next time, or that WordPress
			// makes without its post: the comment feed of a private one.
			self::add( '*' );
		}
	}

	/**
	 * WordPress asks for the posts of the home page for these as well, and shows none.
	 *
	 * @param \WP_Query $query The query.
	 */
	private static function is_unseen( \WP_Query $query ): bool {
		$vars = $query->query_vars;
		return $query->is_robots() || $query->is_favicon() || ! empty( $vars['sitemap'] ) || ! empty( $vars['sitemap-stylesheet'] );
	}

	/**
	 * Note what a query has found, and which list it made.
	 *
	 * @param \WP_Query   $query         The query.
	 * @param bool        $is_names_only Are names and addresses all that is shown?
	 * @param array|null  $posts         What it has found; by itself if null.
	 */
	private static function note_query( \WP_Query $query, bool $is_names_only, ?array $posts = null ): void {
		if ( self::is_unseen( $query ) ) {
			return;
		}
		foreach ( $posts ?? (array) $query->posts as $post ) {
			if ( $post instanceof \WP_Post ) {
				self::add_post( $post->ID, $is_names_only, $post->post_type );
			} elseif ( is_numeric( $post ) || isset( $post->ID ) ) {
				$id = (int) ( is_object( $post ) ? $post->ID : $post );
				if ( $is_names_only && ! is_object( $post ) ) {
					continue; // Counted: the index of sitemaps does.
				}
				self::add_post( $id, $is_names_only, (string) get_post_type( $id ) );
			}
		}
		if ( null === $posts || $query->is_main_query() ) {
			foreach ( lists_of( $query ) as $tag ) {
				self::add( $tag );
			}
		}
		if ( $query->is_comment_feed() ) {
			self::add( $query->is_singular() ? 'comments:' . (int) $query->get_queried_object_id() : tag_of_latest_comments( (int) get_option( 'posts_per_rss' ) ) );
			foreach ( (array) $query->comments as $comment ) {
				self::add_user( (int) $comment->user_id );
			}
		}
	}

	/**
	 * Note whose comments a query has found.
	 *
	 * @param \WP_Comment_Query $query The query.
	 */
	private static function note_comment_query( \WP_Comment_Query $query ): void {
		$post = (int) ( $query->query_vars['post_id'] ?? 0 );
		$vars    = $query->query_vars;
		$orderby = $vars['orderby'] ?? '';
		$is_plain = 'ASC' !== strtoupper( (string) ( $vars['order'] ?? '' ) ) && in_array( $orderby, array( '', 'comment_date', 'comment_date_gmt' ), true );
		self::add( $post ? "comments:$post" : tag_of_latest_comments( $is_plain && ! empty( $vars['number'] ) ? (int) $vars['number'] + (int) $vars['offset'] : 0 ) );
		foreach ( (array) $query->comments as $comment ) {
			if ( $comment instanceof \WP_Comment ) {
				self::add_user( (int) $comment->user_id );
			}
		}
	}
}
