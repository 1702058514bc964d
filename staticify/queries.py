"""What the parameters of a query string mean for a page: nothing, or another page. For every front, in one place."""

from __future__ import annotations

TRACKING = (
    # Campaigns, as Google Analytics, Matomo and Piwik name them.
    "utm_*", "mtm_*", "matomo_*", "piwik_*", "pk_*", "hsa_*", "_ga", "_gl", "gad_source", "gad_campaignid",
    # Clicks: Google, Facebook, Microsoft, Twitter, TikTok, LinkedIn, Yandex, Pinterest, Instagram, Snapchat, Reddit.
    "gclid", "gclsrc", "dclid", "gbraid", "wbraid", "srsltid", "fbclid", "fb_action_ids", "fb_action_types",
    "fb_source", "fb_ref", "msclkid", "twclid", "ttclid", "li_fat_id", "yclid", "ysclid", "_openstat", "epik", "igsh",
    "igshid", "ScCid", "rdt_cid",
    # Letters: Mailchimp, HubSpot, Marketo, Klaviyo, Drip, Vero, Omeda, MailerLite.
    "mc_cid", "mc_eid", "_hsenc", "_hsmi", "__hssc", "__hstc", "__hsfp", "hsCtaTracking", "mkt_tok", "_ke", "_kx",
    "__s", "vero_id", "vero_conv", "oly_anon_id", "oly_enc_id", "ml_subscriber", "ml_subscriber_hash",
    # Partners.
    "irclickid", "irgwc", "wickedid", "rb_clickid", "s_cid", "cjevent", "awc",
)  # fmt: skip
"""Parameters that say where a visitor came from. WordPress itself knows none of them; a * stands for any ending."""

WORDPRESS = (
    # WP::$public_query_vars (wp-includes/class-wp.php).
    "m", "p", "posts", "w", "cat", "withcomments", "withoutcomments", "s", "search", "exact", "sentence", "calendar",
    "page", "paged", "more", "tb", "pb", "author", "order", "orderby", "year", "monthnum", "day", "hour", "minute",
    "second", "name", "category_name", "tag", "feed", "author_name", "pagename", "page_id", "error", "attachment",
    "attachment_id", "subpost", "subpost_id", "preview", "robots", "favicon", "taxonomy", "term", "cpage", "post_type",
    "embed", "static", "tag_id", "post_format",
    # What its parts add: REST, sitemaps, cron, previews, the customiser, comments.
    "rest_route", "sitemap", "sitemap-subtype", "sitemap-stylesheet", "doing_wp_cron", "preview_id", "preview_nonce",
    "_thumbnail_id", "_ppp", "customize_*", "wp_customize", "replytocom", "unapproved", "moderation-hash", "action",
    "wp_theme_preview",
    # The block editor's lists of posts: query-3-page.
    "query-*",
    # WooCommerce and other shops.
    "wc-ajax", "wc-api", "add-to-cart", "remove_item", "product_cat", "product_tag", "filter_*", "min_price",
    "max_price", "product-page",
    # Translations and staticify's own question.
    "lang", "staticify",
)  # fmt: skip
"""Parameters that make another page of the same path: of WordPress's own and of its most common plugins."""


def pattern_of(names: tuple[str, ...]) -> str:
    """A regular expression (PCRE, RE2 and POSIX extended alike) that matches just these names; sorted, each once.

    A name that another one's * stands for as well is left out: with two ways to match it, a list of n of them has 2**n.
    """
    beginnings = {name.removesuffix("*") for name in names if name.endswith("*")}

    def is_covered(name: str) -> bool:
        return any(name != f"{beginning}*" and name.startswith(beginning) for beginning in beginnings)

    return "|".join(sorted({name.replace("*", "[A-Za-z0-9_-]*") for name in names if not is_covered(name)}))
