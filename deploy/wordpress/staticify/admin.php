<?php
/**
 * The settings screen: Settings > staticify.
 *
 * @package staticify
 */

namespace Staticify;

defined( 'ABSPATH' ) || exit;

add_action(
	'admin_menu',
	static function () {
		add_options_page( 'staticify', 'staticify', 'manage_options', 'staticify', __NAMESPACE__ . '\show_settings' );
	}
);
add_action(
	'admin_init',
	static function () {
		register_setting(
			'staticify',
			OPTION,
			array(
				'type'              => 'array',
				'sanitize_callback' => __NAMESPACE__ . '\checked_settings',
				'show_in_rest'      => false,
			)
		);
	}
);

/**
 * What may be saved. A field that came empty keeps a secret as it is: the screen does not show it.
 *
 * @param mixed $given What the form says.
 * @return array<string,string>
 */
function checked_settings( $given ): array {
	$given = is_array( $given ) ? $given : array();
	$saved = get_option( OPTION );
	$saved = is_array( $saved ) ? $saved : array();
	foreach ( array_keys( CONSTANTS ) as $name ) {
		$saved[ $name ] = (string) ( $saved[ $name ] ?? '' );
	}
	if ( isset( $given['address'] ) && ! is_constant( 'address' ) ) {
		$address = rtrim( trim( sanitize_text_field( $given['address'] ) ), '/' );
		if ( ! can_let_go() && is_to_be_resolved( $address ) ) {
			add_settings_error( OPTION, 'address', __( 'Under this PHP editors would wait for the name to be looked up. Give the IP address, localhost, or unix:/PATH.', 'staticify' ) );
		} elseif ( '' === $address || socket_of( $address )[0] ) {
			$saved['address'] = $address;
		} else {
			add_settings_error( OPTION, 'address', __( 'The address is http://HOST:PORT or unix:/PATH.', 'staticify' ) );
		}
	}
	$secret = trim( (string) ( $given['secret'] ?? '' ) );
	if ( '' !== $secret && ! is_constant( 'secret' ) ) {
		if ( count( keys_of( $secret ) ) === count( preg_split( '/\s+/', $secret ) ) ) {
			$saved['secret'] = $secret;
		} else {
			add_settings_error( OPTION, 'secret', __( 'A secret is whsec_ and the base64 of 24 to 64 bytes.', 'staticify' ) );
		}
	}
	if ( ! is_constant( 'run_cron' ) && isset( $given['address'] ) ) {
		$saved['run_cron'] = empty( $given['run_cron'] ) ? '' : '1';
	}
	if ( ! is_constant( 'reader' ) && in_array( $given['reader'] ?? '', array( '0', '1' ), true ) ) {
		$saved['reader'] = $given['reader'];
	}
	return $saved;
}

/**
 * A secret as far as it may be shown.
 *
 * @param string $secret The secret.
 */
function hint_of( string $secret ): string {
	return '' === $secret ? '' : substr( $secret, 0, 10 ) . '…';
}

/**
 * What one of the two buttons came to: a notice's text.
 */
function result_of_button(): string {
	if ( ! isset( $_POST['staticify_action'] ) || ! current_user_can( 'manage_options' ) ) {
		return '';
	}
	check_admin_referer( 'staticify_action' );
	if ( 'generate' === $_POST['staticify_action'] && ! is_constant( 'secret' ) ) {
		$secret = new_secret();
		update_option( OPTION, array( 'secret' => $secret ) + (array) get_option( OPTION, array() ) );
		/* translators: %s: a secret. */
		return sprintf( __( 'The new secret, shown this once: %s Put it into "secrets" of the site in staticify.toml.', 'staticify' ), $secret );
	}
	if ( 'test' === $_POST['staticify_action'] ) {
		/* translators: %s: an HTTP status, or a reason. */
		return sprintf( __( 'staticify says: %s', 'staticify' ), test_delivery() );
	}
	return '';
}

/**
 * Send a webhook that says what there is, and wait for the answer.
 */
function test_delivery(): string {
	$id     = Journal::id();
	$bounds = Journal::bounds();
	$data   = array(
		'site'     => site_url_of_pages(),
		'journal'  => $id,
		'position' => $bounds ? $bounds[1] : 0,
	);
	$result = send( '/webhook', 'changes', $data, 3, true );
	remember_delivery( $result );
	return $result;
}

/**
 * The screen.
 */
function show_settings(): void {
	if ( ! current_user_can( 'manage_options' ) ) {
		return;
	}
	$result = result_of_button();
	$id     = Journal::id();
	$bounds = Journal::bounds();
	$last   = get_option( DELIVERY_OPTION );
	$fixed  = __( 'Set in wp-config.php.', 'staticify' );
	?>
	<div class="wrap">
	<h1>staticify</h1>
	<?php if ( '' !== $result ) : ?>
		<div class="notice notice-info"><p><?php echo esc_html( $result ); ?></p></div>
	<?php endif; ?>
	<form method="post" action="options.php">
		<?php settings_fields( 'staticify' ); ?>
		<table class="form-table" role="presentation">
		<tr>
			<th scope="row"><label for="staticify-address"><?php esc_html_e( 'Address of staticify', 'staticify' ); ?></label></th>
			<td>
				<input type="text" class="regular-text code" id="staticify-address" name="staticify[address]" value="<?php echo esc_attr( address() ); ?>" placeholder="http://127.0.0.1:8765" <?php disabled( is_constant( 'address' ) ); ?>>
				<p class="description"><?php echo esc_html( is_constant( 'address' ) ? $fixed : __( 'http://HOST:PORT or unix:/PATH. Without one staticify reads the journal at its own pace.', 'staticify' ) ); ?></p>
			</td>
		</tr>
		<tr>
			<th scope="row"><label for="staticify-secret"><?php esc_html_e( 'Secret', 'staticify' ); ?></label></th>
			<td>
				<input type="password" class="regular-text code" id="staticify-secret" name="staticify[secret]" value="" autocomplete="off" placeholder="<?php echo esc_attr( hint_of( (string) setting( 'secret' ) ) ); ?>" <?php disabled( is_constant( 'secret' ) ); ?>>
				<p class="description"><?php echo esc_html( is_constant( 'secret' ) ? $fixed : __( 'Empty: stays as it is. Several, with a space between them, are for rotation: the first one signs.', 'staticify' ) ); ?></p>
			</td>
		</tr>
		<tr>
			<th scope="row"><?php esc_html_e( 'WP-Cron', 'staticify' ); ?></th>
			<td>
				<label><input type="checkbox" name="staticify[run_cron]" value="1" <?php checked( (bool) setting( 'run_cron' ) ); ?> <?php disabled( is_constant( 'run_cron' ) ); ?>>
				<?php esc_html_e( 'staticify turns WP-Cron even though DISABLE_WP_CRON is set', 'staticify' ); ?></label>
			</td>
		</tr>
		<tr>
			<th scope="row"><?php esc_html_e( 'Readers', 'staticify' ); ?></th>
			<td>
				<input type="hidden" name="staticify[reader]" value="0" <?php disabled( is_constant( 'reader' ) ); ?>>
				<label><input type="checkbox" name="staticify[reader]" value="1" <?php checked( is_reader_wanted() ); ?> <?php disabled( is_constant( 'reader' ) ); ?>>
				<?php esc_html_e( 'Who is logged in finds the way to edit on a static page, who has commented the own name in the form', 'staticify' ); ?></label>
			</td>
		</tr>
		<tr>
			<th scope="row"><?php esc_html_e( 'Journal', 'staticify' ); ?></th>
			<td><code><?php echo esc_html( $id . ' : ' . ( $bounds ? $bounds[1] : 0 ) ); ?></code></td>
		</tr>
		<tr>
			<th scope="row"><?php esc_html_e( 'Last delivery', 'staticify' ); ?></th>
			<td><?php echo esc_html( is_array( $last ) ? wp_date( 'Y-m-d H:i:s', $last['time'] ) . ': ' . $last['result'] : __( 'none yet', 'staticify' ) ); ?></td>
		</tr>
		</table>
		<?php submit_button(); ?>
	</form>
	<form method="post">
		<?php wp_nonce_field( 'staticify_action' ); ?>
		<button class="button" name="staticify_action" value="test"><?php esc_html_e( 'Test the connection', 'staticify' ); ?></button>
		<?php if ( ! is_constant( 'secret' ) ) : ?>
			<button class="button" name="staticify_action" value="generate"><?php esc_html_e( 'Make a new secret', 'staticify' ); ?></button>
		<?php endif; ?>
	</form>
	</div>
	<?php
}
