/* curl default | file: libcurl's CURLOPT_CONNECT_ONLY in one multi handle, `depth` at once, nothing
 * reused.
 *
 * default: the CA file is given and CURLOPT_CAPATH is what libcurl was built with, as for a program
 * that sets nothing (on Debian: the bundle and the hashed directory); then libcurl parses the
 * bundle for each connection. file: CURLOPT_CAPATH is cleared, which lets it keep what it has
 * parsed. */
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/measure.h"

struct run {
    struct measure *m;
    CURLM *multi;
    unsigned n_started, n_done;
    bool has_capath;
};

static void set(CURL *easy, const struct run *run)
{
    curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, run->m->proxy ? run->m->proxy : "");
    curl_easy_setopt(easy, CURLOPT_HTTPPROXYTUNNEL, 1L);
    if (!run->m->is_tls)
        return;
    curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_ENABLE_ALPN, 0L);
    curl_easy_setopt(easy, CURLOPT_CAINFO, run->m->ca_file);
    if (!run->has_capath)
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
}

static void start(struct run *run, CURL *easy)
{
    const char *url = measure_url(run->m, run->m->is_tls ? "https" : "http", run->n_started++);

    curl_easy_setopt(easy, CURLOPT_URL, url);
    if (curl_multi_add_handle(run->multi, easy) != CURLM_OK)
        die("curl_multi_add_handle");
}

static void finish(struct run *run, const CURLMsg *message)
{
    CURL *easy = message->easy_handle;
    curl_socket_t fd = CURL_SOCKET_BAD;

    if (message->data.result != CURLE_OK)
        die("%s", curl_easy_strerror(message->data.result));
    if (curl_easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK || fd == CURL_SOCKET_BAD)
        die("no socket");
    curl_multi_remove_handle(run->multi, easy); /* closes the connection */
    run->n_done++;
    if (run->n_started < run->m->n)
        start(run, easy);
}

static void connect_all(struct run *run)
{
    while (run->n_done < run->m->n) {
        CURLMsg *message;
        int n;

        if (curl_multi_perform(run->multi, &n) != CURLM_OK)
            die("curl_multi_perform");
        while ((message = curl_multi_info_read(run->multi, &n)))
            finish(run, message);
        if (run->n_done < run->m->n && curl_multi_poll(run->multi, NULL, 0, 1000, &n) != CURLM_OK)
            die("curl_multi_poll");
    }
}

int main(int argc, char **argv)
{
    struct measure m;
    struct run run = {.m = &m};
    CURL **easies;
    unsigned n;

    measure_parse(&m, argc, argv);
    run.has_capath = strcmp(m.mode, "default") == 0;
    if (!run.has_capath && strcmp(m.mode, "file") != 0)
        die("unknown mode %s", m.mode);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    run.multi = curl_multi_init();
    n = m.depth < m.n ? m.depth : m.n;
    easies = calloc(n, sizeof *easies);
    for (unsigned i = 0; i < n; i++) {
        easies[i] = curl_easy_init();
        set(easies[i], &run);
    }
    measure_start(&m);
    for (unsigned i = 0; i < n; i++)
        start(&run, easies[i]);
    connect_all(&run);
    measure_stop(&m);
    for (unsigned i = 0; i < n; i++)
        curl_easy_cleanup(easies[i]);
    free(easies);
    curl_multi_cleanup(run.multi);
    curl_global_cleanup();
    measure_print(&m, "");
    return 0;
}
