<?php
/**
 * Plugin Name: staticify (loader)
 * Description: Loads staticify from the folder beside this file. Copy both into wp-content/mu-plugins.
 * License:     MIT
 */

defined( 'ABSPATH' ) || exit;

require_once __DIR__ . '/staticify/staticify.php';
