/*
 * staticify: what is the reader's own, on a page that is everybody's. A commenter's name goes into the comment form; who
 * is logged in gets a bar, through one request that nobody else makes. Texts go in as text, styles by CSSOM: a strict
 * Content-Security-Policy allows both.
 */
( () => {
	'use strict';

	const page = document.getElementById( 'staticify-reader' );
	// WordPress has made this page for the one who is logged in.
	if ( ! page || document.body.classList.contains( 'logged-in' ) ) {
		return;
	}

	const form = document.querySelector( 'form[action*="wp-comments-post.php"]' );
	const field = ( name ) => form && form.querySelector( `[name="${ name }"]` );
	const consent = field( 'wp-comment-cookies-consent' );

	// A cookie as PHP writes it; nothing if somebody else did.
	const cookie = ( name ) => {
		const start = `${ name }_${ page.dataset.hash }=`;
		const found = document.cookie.split( '; ' ).find( ( one ) => one.startsWith( start ) ) || start;
		try {
			return decodeURIComponent( found.slice( start.length ).replace( /\+/g, ' ' ) );
		} catch ( fault ) {
			return '';
		}
	};

	// WordPress remembers names as HTML.
	const named = { amp: '&', lt: '<', gt: '>', quot: '"' };
	const plain = ( text ) =>
		text.replace( /&(?:#(\d{1,5})|(amp|lt|gt|quot));/g, ( all, code, name ) => named[ name ] || String.fromCharCode( code ) );

	[ [ 'author', '' ], [ 'email', '_email' ], [ 'url', '_url' ] ].forEach( ( [ name, ending ] ) => {
		const input = field( name );
		const value = plain( cookie( 'comment_author' + ending ) );
		if ( input && value ) {
			input.value = input.value || value;
			if ( consent ) {
				consent.checked = true;
			}
		}
	} );

	if ( ! cookie( 'staticify_reader' ) ) {
		return;
	}

	const add = ( parent, tag, text, style ) => {
		const element = document.createElement( tag );
		element.textContent = text;
		Object.assign( element.style, style );
		return parent.appendChild( element );
	};
	const hide = ( element ) => {
		element.style.display = 'none';
	};

	const show = ( { greeting, links } ) => {
		if ( ! links ) {
			return;
		}
		const bar = add( document.body, 'div', '', {
			all: 'initial', position: 'fixed', zIndex: 99999, bottom: '12px', insetInlineStart: '12px', display: 'flex',
			flexWrap: 'wrap', gap: '4px 16px', maxWidth: 'calc(100vw - 24px)', boxSizing: 'border-box', padding: '8px 14px',
			font: '13px/1.5 system-ui, sans-serif', color: '#fff', background: '#1d2327', border: '1px solid #8c8f94',
			borderRadius: '6px', overflowWrap: 'anywhere',
		} );
		bar.id = 'staticify-bar';
		bar.setAttribute( 'role', 'navigation' );
		bar.setAttribute( 'aria-label', greeting );
		addEventListener( 'beforeprint', () => hide( bar ) );
		addEventListener( 'afterprint', () => {
			bar.style.display = 'flex';
		} );
		// A tree of its own: no theme's styles reach into it.
		const inside = bar.attachShadow( { mode: 'open' } );
		add( inside, 'span', greeting, { color: '#c3c4c7' } );
		links.forEach( ( [ text, href ] ) => {
			add( inside, 'a', text, { color: 'inherit' } ).href = href;
		} );
		// WordPress knows who comments, and would not read these.
		if ( form ) {
			[ field( 'author' ), field( 'email' ), field( 'url' ), consent ].forEach( ( input ) => {
				if ( input ) {
					input.disabled = true;
					[ input.closest( 'p' ) || input, ...( input.labels || [] ) ].forEach( hide );
				}
			} );
			form.querySelectorAll( '.comment-notes' ).forEach( hide );
			const who = add( form, 'p', greeting );
			who.className = 'logged-in-as';
			form.prepend( who );
		}
	};

	fetch( `${ page.dataset.ask }&post=${ page.dataset.post || 0 }`, { cache: 'no-store' } )
		.then( ( answer ) => answer.json() )
		// A WordPress that is not there: the page is simply everybody's.
		.then( show, () => {} );
} )();
