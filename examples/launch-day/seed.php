<?php
/**
 * The content of the launch-day site, made through WordPress's own functions.
 *
 *     stack php seed.php install          tables, options, administrator (needs STACK_INSTALLING=1)
 *     stack php seed.php content 300      authors, terms, posts, comments, pages, menu
 *     stack php seed.php theme NAME       switch the theme and give it the menu
 *
 * The same numbers give the same site, byte for byte: one seeded generator, fixed dates, no clock.
 * Every user's password is "launch-day"; the site listens on the loopback interface only.
 */

const NEWEST_POST = '2024-06-14 09:00:00';

require_once ABSPATH . 'wp-admin/includes/upgrade.php';
require_once ABSPATH . 'wp-admin/includes/image.php';

switch ( $argv[1] ?? '' ) {
	case 'install':
		seed_install();
		break;
	case 'content':
		seed_content( (int) $argv[2] );
		break;
	case 'theme':
		seed_theme( $argv[2] );
		break;
	default:
		seed_fail( 'usage: seed.php install | content N | theme NAME' );
}

function seed_fail( $message ) {
	// Read from standard input, a script has no STDERR.
	file_put_contents( 'php://stderr', "seed.php: $message\n" );
	exit( 1 );
}

function seed_install() {
	wp_install( 'Launch Day', 'admin', 'admin@example.org', true, '', 'launch-day' );
}

function seed_theme( $name ) {
	$theme = wp_get_theme( $name );
	if ( ! $theme->exists() ) {
		seed_fail( "there is no theme $name" );
	}
	switch_theme( $name );
	$menu = wp_get_nav_menu_object( 'Main' );
	if ( $menu ) {
		// The locations of all classic themes of these packages; a block theme ignores them.
		set_theme_mod( 'nav_menu_locations', array( 'primary' => $menu->term_id, 'footer' => $menu->term_id ) );
	}
}

function seed_content( $count ) {
	global $wpdb, $wp_rewrite;
	mt_srand( 20120229 );

	// One transaction, counts at the end, and none of the work that WordPress would queue for later (pings,
	// enclosures): seconds instead of minutes.
	$wpdb->query( 'SET autocommit = 0' );
	wp_suspend_cache_invalidation( true );
	wp_defer_term_counting( true );
	wp_defer_comment_counting( true );
	remove_action( 'publish_post', '_publish_post_hook', 5 );
	remove_action( 'transition_post_status', '_update_term_count_on_transition_post_status', 10 );
	kses_remove_filters();

	foreach ( array( 1, 2, 3 ) as $sample ) {
		wp_delete_post( $sample, true );
	}
	update_option( 'blogdescription', 'Small computers, shipped today' );
	update_option( 'timezone_string', 'Europe/London' );
	update_option( 'default_pingback_flag', '' );
	update_option( 'comment_registration', '' );
	update_option( 'show_avatars', '' ); // An avatar is a request to another host.
	$wp_rewrite->set_permalink_structure( '/%year%/%monthnum%/%postname%/' );

	$authors = seed_authors();
	$terms   = seed_terms();
	$images  = seed_images( $authors[0] );
	$posts   = seed_posts( $count, $authors, $terms, $images );
	seed_special_posts( $authors[0], $terms );
	$pages = seed_pages( $authors[0] );
	seed_comments( $posts );
	seed_menu( $pages, $terms );

	wp_suspend_cache_invalidation( false );
	// Which category is below which is kept in an option, and was kept while not all were there.
	delete_option( 'category_children' );
	wp_cache_flush();
	foreach ( array( 'category', 'post_tag' ) as $taxonomy ) {
		wp_update_term_count_now( get_terms( array( 'taxonomy' => $taxonomy, 'hide_empty' => false, 'fields' => 'tt_ids' ) ), $taxonomy );
	}
	wp_defer_comment_counting( false );
	flush_rewrite_rules( false );
	$wpdb->query( 'COMMIT' );
	printf( "%d posts, %d comments, %d pages\n", count( $posts ), $wpdb->get_var( "SELECT COUNT(*) FROM $wpdb->comments" ), count( $pages ) );
}

function seed_id( $result ) {
	if ( is_wp_error( $result ) || ! $result ) {
		seed_fail( is_wp_error( $result ) ? $result->get_error_message() : 'WordPress made nothing' );
	}
	return $result;
}

function pick( $list ) {
	return $list[ mt_rand( 0, count( $list ) - 1 ) ];
}

function seed_authors() {
	$authors = array();
	foreach ( array( 'Ada Byron', 'Grace Murray', 'Hedy Kiesler', 'Jürgen Weiß', '山田 花子' ) as $number => $name ) {
		$login     = 'author' . ( $number + 1 );
		$authors[] = seed_id(
			wp_insert_user(
				array(
					'user_login'    => $login,
					'user_pass'     => 'launch-day',
					'user_email'    => "$login@example.org",
					'display_name'  => $name,
					'user_nicename' => $login,
					'description'   => seed_sentence(),
					'role'          => 'author',
				)
			)
		);
	}
	return $authors;
}

function seed_terms() {
	$tree  = array(
		'News'      => array( 'Launches', 'Events', 'Company' ),
		'Projects'  => array( 'Robotics', 'Music', 'Weather stations' ),
		'Education' => array( 'Primary school', 'Secondary school' ),
		'日本語'       => array(),
		'Technik für Einsteiger' => array(),
	);
	$terms = array( 'category' => array(), 'post_tag' => array() );
	foreach ( $tree as $name => $children ) {
		$parent              = seed_id( wp_insert_term( $name, 'category', array( 'description' => seed_sentence() ) ) )['term_id'];
		$terms['category'][] = $parent;
		foreach ( $children as $child ) {
			$terms['category'][] = seed_id( wp_insert_term( $child, 'category', array( 'parent' => $parent ) ) )['term_id'];
		}
	}
	$tags = array( 'camera', 'sensors', 'python', 'teaching', 'power', 'networking', 'display', 'case design', 'audio', 'soldering', 'kernel', 'release', 'zubehör', 'ロボット', 'أخبار', 'open source' );
	foreach ( $tags as $name ) {
		seed_id( wp_insert_term( $name, 'post_tag' ) );
		$terms['post_tag'][] = $name;
	}
	return $terms;
}

/** Four drawn pictures, with the smaller sizes that WordPress makes of an upload. */
function seed_images( $author ) {
	$images = array();
	for ( $number = 1; $number <= 4; $number++ ) {
		$picture = imagecreatetruecolor( 1200, 675 );
		for ( $shape = 0; $shape < 60; $shape++ ) {
			$colour = imagecolorallocate( $picture, mt_rand( 0, 255 ), mt_rand( 0, 255 ), mt_rand( 0, 255 ) );
			imagefilledellipse( $picture, mt_rand( 0, 1200 ), mt_rand( 0, 675 ), mt_rand( 50, 500 ), mt_rand( 50, 500 ), $colour );
		}
		ob_start();
		imagejpeg( $picture, null, 70 );
		$upload = wp_upload_bits( "board-$number.jpg", null, ob_get_clean(), '2024/01' );
		$image  = seed_id(
			wp_insert_attachment(
				array(
					'post_title'     => "Board $number",
					'post_mime_type' => 'image/jpeg',
					'post_author'    => $author,
					'post_date'      => '2022-01-01 09:00:00',
					'post_status'    => 'inherit',
				),
				$upload['file'],
				0,
				true
			)
		);
		wp_update_attachment_metadata( $image, wp_generate_attachment_metadata( $image, $upload['file'] ) );
		update_post_meta( $image, '_wp_attachment_image_alt', "A circuit board, seen from above ($number)" );
		$images[] = $image;
	}
	return $images;
}

function seed_posts( $count, $authors, $terms, $images ) {
	$titles = array(
		'ラズベリーパイで作る気象観測所',
		'新しい基板が本日発売',
		'إطلاق لوحة جديدة اليوم',
		'Größer, schneller, übersichtlicher: das neue Gehäuse',
		'Ünïcödé in the file system, and why it matters',
		'🚀 Launch day: everything you need to know',
		'Café, naïve, façade: a keyboard for every language',
		'Плата для начинающих: первые шаги',
		'חדשות מהמעבדה',
		'R&D: 100% of "quoted" <things> & other traps',
	);
	$posts  = array();
	$newest = strtotime( NEWEST_POST . ' UTC' );
	for ( $number = 0; $number < $count; $number++ ) {
		$title   = 0 === $number % 10 ? ( $titles[ $number / 10 ] ?? seed_title() ) : seed_title();
		$date    = gmdate( 'Y-m-d H:i:s', $newest - $number * 19 * 3600 );
		$post    = seed_post(
			array(
				'post_title'    => $title,
				'post_content'  => seed_body( $images ),
				'post_excerpt'  => 0 === mt_rand( 0, 3 ) ? seed_sentence() : '',
				'post_author'   => pick( $authors ),
				'post_date'     => $date,
				'post_category' => array_unique( array( pick( $terms['category'] ), pick( $terms['category'] ) ) ),
				'tags_input'    => array_unique( array( pick( $terms['post_tag'] ), pick( $terms['post_tag'] ), pick( $terms['post_tag'] ) ) ),
			)
		);
		$posts[] = $post;
		if ( 0 === mt_rand( 0, 3 ) ) {
			update_post_meta( $post, '_thumbnail_id', pick( $images ) );
		}
	}
	return $posts;
}

function seed_post( $fields ) {
	return seed_id( wp_insert_post( wp_slash( $fields + array( 'post_status' => 'publish', 'comment_status' => 'open', 'ping_status' => 'closed' ) ), true ) );
}

/** One of each kind that must never reach the tree, or must leave it. */
function seed_special_posts( $author, $terms ) {
	$common = array(
		'post_author'   => $author,
		'post_content'  => seed_paragraph(),
		'post_category' => array( $terms['category'][0] ),
	);
	seed_post( array( 'post_title' => 'Password protected', 'post_password' => 'secret', 'post_date' => '2024-06-13 12:00:00' ) + $common );
	seed_post( array( 'post_title' => 'Private post', 'post_status' => 'private', 'post_date' => '2024-06-13 12:10:00' ) + $common );
	seed_post( array( 'post_title' => 'Draft post', 'post_status' => 'draft', 'post_date' => '2024-06-13 12:20:00' ) + $common );
	seed_post( array( 'post_title' => 'Scheduled post', 'post_status' => 'future', 'post_date' => '2037-01-01 12:00:00' ) + $common );
	stick_post( seed_post( array( 'post_title' => 'Sticky: read me first', 'post_date' => '2024-06-13 12:30:00' ) + $common ) );
}

function seed_pages( $author ) {
	$page  = function ( $title, $parent = 0, $template = '' ) use ( $author ) {
		static $order = 0;
		return seed_post(
			array(
				'post_type'      => 'page',
				'post_title'     => $title,
				'post_content'   => seed_body( array() ),
				'post_parent'    => $parent,
				'post_author'    => $author,
				'post_date'      => '2022-01-02 09:00:00',
				'menu_order'     => ++$order,
				'page_template'  => $template,
				'comment_status' => 'closed',
			)
		);
	};
	$pages = array( 'about' => $page( 'About' ) );

	$pages['team']     = $page( 'Team', $pages['about'] );
	$pages['history']  = $page( 'History', $pages['about'] );
	$pages['products'] = $page( 'Products' );
	$pages['model-a']  = $page( 'Model A', $pages['products'] );
	$pages['model-b']  = $page( 'Model B', $pages['products'] );
	$pages['contact']  = $page( 'Contact' );
	$pages['imprint']  = $page( 'Impressum für Deutschland' );
	$pages['guide']    = $page( 'はじめに' );
	$pages['landing']  = $page( 'Launch' );
	// The template differs from theme to theme; wp_insert_post would refuse one that the present theme lacks.
	update_post_meta( $pages['landing'], '_wp_page_template', 'blank' );
	return $pages;
}

/** On every third post a thread; here and there a comment that awaits moderation, or spam. */
function seed_comments( $posts ) {
	$names  = array( 'Sam', 'Noor', 'Ola', 'Tove', '佐藤', 'Zoë', 'Émile', 'Priya' );
	$clock  = strtotime( NEWEST_POST . ' UTC' );
	$insert = function ( $post, $parent, $approved ) use ( $names, &$clock ) {
		$clock += 61;
		$name   = pick( $names );
		return seed_id(
			wp_insert_comment(
				wp_slash(
					array(
						'comment_post_ID'      => $post,
						'comment_author'       => $name,
						'comment_author_email' => md5( $name ) . '@example.org',
						'comment_author_url'   => '',
						'comment_author_IP'    => '192.0.2.1',
						'comment_content'      => ( '1' === $approved ? '' : 'NOT-APPROVED ' ) . seed_sentence() . ' ' . seed_sentence(),
						'comment_parent'       => $parent,
						'comment_approved'     => $approved,
						'comment_date'         => gmdate( 'Y-m-d H:i:s', $clock ),
						'comment_date_gmt'     => gmdate( 'Y-m-d H:i:s', $clock ),
					)
				)
			)
		);
	};
	foreach ( $posts as $number => $post ) {
		if ( 0 !== $number % 3 ) {
			continue;
		}
		for ( $thread = mt_rand( 1, 4 ); $thread > 0; $thread-- ) {
			$first = $insert( $post, 0, '1' );
			$reply = mt_rand( 0, 1 ) ? $insert( $post, $first, '1' ) : $first;
			if ( 0 === mt_rand( 0, 3 ) ) {
				$insert( $post, $reply, '1' );
			}
		}
		if ( 0 === $number % 15 ) {
			$insert( $post, 0, '0' );
			$insert( $post, 0, 'spam' );
		}
	}
}

function seed_menu( $pages, $terms ) {
	$menu = seed_id( wp_create_nav_menu( 'Main' ) );
	$add  = function ( $fields ) use ( $menu ) {
		return seed_id( wp_update_nav_menu_item( $menu, 0, $fields + array( 'menu-item-status' => 'publish' ) ) );
	};
	$item = function ( $page, $parent = 0 ) use ( $add ) {
		return $add(
			array(
				'menu-item-type'      => 'post_type',
				'menu-item-object'    => 'page',
				'menu-item-object-id' => $page,
				'menu-item-parent-id' => $parent,
			)
		);
	};
	$about = $item( $pages['about'] );
	$item( $pages['team'], $about );
	$products = $item( $pages['products'] );
	$item( $pages['model-a'], $products );
	$item( $pages['model-b'], $products );
	$item( $pages['guide'] );
	$add(
		array(
			'menu-item-type'      => 'taxonomy',
			'menu-item-object'    => 'category',
			'menu-item-object-id' => $terms['category'][0],
		)
	);
	$item( $pages['contact'] );
}

function seed_words() {
	static $words = array(
		'who'  => array( 'The team', 'A classroom in Wales', 'Our engineer', 'Every beginner', 'The factory', 'A reader from Osaka', 'The new board', 'Somebody on the forum', 'The camera module', 'This little project' ),
		'does' => array( 'measures', 'builds', 'tests', 'improves', 'explains', 'ships', 'rewrites', 'documents', 'repairs', 'compares' ),
		'what' => array( 'a weather station', 'the power supply', 'four motors', 'an old radio', 'the start-up time', 'a greenhouse', 'the image sensor', 'a map of the school', 'the first ten thousand boards', 'a robot that waters plants' ),
		'how'  => array( 'in one afternoon', 'without soldering', 'with a handful of parts', 'for less than the price of lunch', 'after years of patience', 'while the kettle boils', 'on a single battery', 'and shares every step', 'as the pictures show', 'before the doors open' ),
		'and'  => array( 'which nobody expected', 'and the results surprised us', 'because small things add up', 'so the next one will be easier', 'though the manual says otherwise', 'and it still runs today' ),
	);
	return $words;
}

function seed_sentence() {
	$words = seed_words();
	return sprintf( '%s %s %s %s, %s.', pick( $words['who'] ), pick( $words['does'] ), pick( $words['what'] ), pick( $words['how'] ), pick( $words['and'] ) );
}

function seed_title() {
	$words = seed_words();
	return sprintf( '%s %s %s', pick( $words['who'] ), pick( $words['does'] ), pick( $words['what'] ) );
}

function seed_paragraph() {
	$sentences = array();
	for ( $length = mt_rand( 3, 6 ); $length > 0; $length-- ) {
		$sentences[] = seed_sentence();
	}
	return "<!-- wp:paragraph -->\n<p>" . implode( ' ', $sentences ) . "</p>\n<!-- /wp:paragraph -->\n\n";
}

/** A post as the block editor writes it: sections with a heading, paragraphs, lists, a quotation, a picture. */
function seed_body( $images ) {
	$body = seed_paragraph();
	for ( $section = mt_rand( 2, 4 ); $section > 0; $section-- ) {
		$body .= "<!-- wp:heading -->\n<h2>" . seed_title() . "</h2>\n<!-- /wp:heading -->\n\n" . seed_paragraph() . seed_paragraph();
		switch ( mt_rand( 0, 3 ) ) {
			case 0:
				$body .= "<!-- wp:list -->\n<ul>";
				for ( $entry = mt_rand( 3, 6 ); $entry > 0; $entry-- ) {
					$body .= "<!-- wp:list-item -->\n<li>" . seed_title() . "</li>\n<!-- /wp:list-item -->\n\n";
				}
				$body .= "</ul>\n<!-- /wp:list -->\n\n";
				break;
			case 1:
				$body .= "<!-- wp:quote -->\n<blockquote class=\"wp-block-quote\"><p>" . seed_sentence() . "</p></blockquote>\n<!-- /wp:quote -->\n\n";
				break;
			case 2:
				if ( $images ) {
					$image = pick( $images );
					$body .= sprintf( "<!-- wp:image {\"id\":%d,\"sizeSlug\":\"large\"} -->\n<figure class=\"wp-block-image size-large\"><img src=\"%s\" alt=\"A circuit board\" class=\"wp-image-%d\"/></figure>\n<!-- /wp:image -->\n\n", $image, esc_url( wp_make_link_relative( wp_get_attachment_image_url( $image, 'large' ) ) ), $image );
				}
				break;
		}
	}
	return $body;
}
