/* curl-adopt-client FD URL CA-FILE: a transfer of libcurl over a connection that exists already,
 * the one with descriptor FD. Prints the body. Exit status 77 with a reason where this libcurl
 * cannot. */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

static curl_socket_t give(void *data, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)purpose, (void)address;
    return *(int *)data;
}

static int adopt(void *data, curl_socket_t fd, curlsocktype purpose)
{
    (void)data, (void)fd, (void)purpose;
    return CURL_SOCKOPT_ALREADY_CONNECTED;
}

static int transfer(CURL *curl, int *fd, const char *url, const char *ca_file)
{
    CURLcode r;

    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_CAINFO, ca_file);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, give);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, fd);
    curl_easy_setopt(curl, CURLOPT_SOCKOPTFUNCTION, adopt);
    r = curl_easy_perform(curl);
    if (r != CURLE_OK)
        fprintf(stderr, "curl-adopt-client: %s\n", curl_easy_strerror(r));
    return r == CURLE_OK ? 0 : 1;
}

int main(int argc, char **argv)
{
    const curl_version_info_data *version = curl_version_info(CURLVERSION_NOW);
    int fd, status = 1;
    CURL *curl;

    if (argc != 4)
        return 2;
    if (version->version_num < 0x080000) {
        printf("libcurl older than 8.0 (%s) cannot adopt a connected socket\n", version->version);
        return 77;
    }
    fd = atoi(argv[1]);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    curl = curl_easy_init();
    if (curl)
        status = transfer(curl, &fd, argv[2], argv[3]);
    curl_easy_cleanup(curl);
    curl_global_cleanup();
    return status;
}
