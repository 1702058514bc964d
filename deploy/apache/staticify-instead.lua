-- staticify, for Apache's mod_lua: what takes the place of WordPress's answer when it gives none.
-- Made by `staticify config apache --part instead`; apache.conf says when it is called.

-- A page of the tree is a good answer: without this it would go out with the status of the error.
function instead(r)
    if r.subprocess_env["STATICIFY_HIT"] == "1" then
        r.status = 200
    end
    return apache2.OK
end

function unavailable(r)
    if r.subprocess_env["STATICIFY_HIT"] == "1" then
        return apache2.DECLINED
    end
    if not r.subprocess_env["REDIRECT_STATUS"] then
        return 404
    end
    r.status = 503
    r.content_type = "text/html; charset=UTF-8"
    r.err_headers_out["Retry-After"] = "30"
    r:write("<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' content='width=device-width'><title>Back in a moment</title><style>body{font:1.1em/1.5 system-ui,sans-serif;max-width:32em;margin:15vh auto;padding:0 1em;color:#333}</style><h1>Back in a moment</h1><p>This page cannot be shown just now. Please try again in a minute.</p></html>")
    return apache2.OK
end
