/* A fake upstream that uses very little CPU time. One thread serves the router model and the targets.
 *
 *   POST /router/...  a decision: a call of call_small, or select_response if the request offers that tool
 *   POST /target/...  a completion; if the body has "stream":true, 50 chunks, one write each
 *   POST /paced/...   as POST /target/..., but with one chunk every 10 ms
 *   GET  any path     the list of models
 *
 * usage: upstream PORT
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { MAX_CONNECTIONS = 4096, MAX_REQUEST = 1 << 20, CHUNKS = 50, PACE_NS = 10 * 1000 * 1000 };

struct connection {
    char *received;
    size_t size;
    int chunks_left; /* of a paced stream */
};

static struct connection connections[MAX_CONNECTIONS];

#define USAGE "\"usage\":{\"prompt_tokens\":412,\"completion_tokens\":%d,\"total_tokens\":%d," \
              "\"prompt_tokens_details\":{\"cached_tokens\":384}}"

static const char LIST[] = "{\"object\":\"list\",\"data\":[{\"id\":\"router-model\",\"object\":\"model\","
                           "\"max_model_len\":32768}]}";
static const char DECISION[] =
    "{\"id\":\"chatcmpl-5f0e8a\",\"object\":\"chat.completion\",\"created\":1763900000,\"model\":\"router-model\","
    "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"chatcmpl-"
    "tool-1\",\"type\":\"function\",\"function\":{\"name\":\"%s\",\"arguments\":\"%s\"}}]},\"logprobs\":null,"
    "\"finish_reason\":\"tool_calls\"}]," USAGE "}";
static const char COMPLETION[] =
    "{\"id\":\"chatcmpl-9b1c2d\",\"object\":\"chat.completion\",\"created\":1763900000,\"model\":\"small-2026\","
    "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"The tallest mountain above sea level is "
    "Mount Everest, at 8,849 metres. Measured from base to peak, Mauna Kea is taller: most of it lies under the sea, and "
    "the whole of it rises about 10,210 metres from the ocean floor.\",\"refusal\":null},\"logprobs\":null,"
    "\"finish_reason\":\"stop\"}]," USAGE ",\"system_fingerprint\":\"fp_1\"}";
static const char CHUNK[] =
    "data: {\"id\":\"chatcmpl-9b1c2d\",\"object\":\"chat.completion.chunk\",\"created\":1763900000,\"model\":"
    "\"small-2026\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" mountain\"},\"logprobs\":null,\"finish_reason\":"
    "%s}]}\n\n";
static const char LAST[] =
    "data: {\"id\":\"chatcmpl-9b1c2d\",\"object\":\"chat.completion.chunk\",\"created\":1763900000,\"model\":"
    "\"small-2026\",\"choices\":[]," USAGE "}\n\ndata: [DONE]\n\n";

static void send_all(int fd, const char *bytes, size_t size) {
    while (size > 0) {
        ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
        if (sent <= 0) return;
        bytes += sent, size -= (size_t)sent;
    }
}

static void send_json(int fd, const char *body) {
    char reply[4096];
    int size = snprintf(reply, sizeof reply,
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                        strlen(body), body);
    send_all(fd, reply, (size_t)size);
}

static void send_http_chunk(int fd, const char *data, const char *end) {
    char chunk[2048];
    int size = snprintf(chunk, sizeof chunk, "%zx\r\n%s\r\n%s", strlen(data), data, end);
    send_all(fd, chunk, (size_t)size);
}

static void send_chunk(int fd, int left) {
    char data[1024];
    snprintf(data, sizeof data, CHUNK, left == 1 ? "\"stop\"" : "null");
    send_http_chunk(fd, data, "");
    if (left > 1) return;
    snprintf(data, sizeof data, LAST, CHUNKS, 412 + CHUNKS);
    send_http_chunk(fd, data, "0\r\n\r\n");
}

static void begin_stream(int fd, int paced) {
    const char *head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    send_all(fd, head, strlen(head));
    if (paced) {
        connections[fd].chunks_left = CHUNKS;
        return;
    }
    for (int left = CHUNKS; left > 0; left--) send_chunk(fd, left);
}

static void answer(int fd, const char *request, size_t size) {
    char body[2048];
    int paced = !strncmp(request, "POST /paced/", 12);
    if (!strncmp(request, "POST /router/", 13)) {
        int second = memmem(request, size, "\"name\":\"select_response\"", 24) != NULL;
        snprintf(body, sizeof body, DECISION, second ? "select_response" : "call_small",
                 second ? "{\\\"call_id\\\":\\\"call_1\\\"}" : "{}", 16, 428);
        send_json(fd, body);
    } else if (paced || !strncmp(request, "POST /target/", 13)) {
        if (memmem(request, size, "\"stream\":true", 13)) {
            begin_stream(fd, paced);
        } else {
            snprintf(body, sizeof body, COMPLETION, CHUNKS, 412 + CHUNKS);
            send_json(fd, body);
        }
    } else {
        send_json(fd, LIST);
    }
}

/* Returns the size of the first request in the buffer, or 0 if the request is incomplete. */
static size_t complete_request(const struct connection *from) {
    const char *end = memmem(from->received, from->size, "\r\n\r\n", 4);
    if (!end) return 0;
    size_t head = (size_t)(end - from->received) + 4, body = 0;
    for (const char *line = from->received; line < end; line = (const char *)memchr(line, '\n', head) + 1)
        if (!strncasecmp(line, "content-length:", 15)) body = strtoul(line + 15, NULL, 10);
    return from->size >= head + body ? head + body : 0;
}

static void close_connection(int fd) {
    free(connections[fd].received);
    memset(&connections[fd], 0, sizeof connections[fd]);
    close(fd);
}

static void receive(int fd) {
    struct connection *from = &connections[fd];
    ssize_t count = recv(fd, from->received + from->size, MAX_REQUEST - from->size, 0);
    if (count <= 0) {
        close_connection(fd);
        return;
    }
    from->size += (size_t)count;
    from->received[from->size] = 0;
    size_t size;
    while ((size = complete_request(from)) > 0) {
        answer(fd, from->received, size);
        from->size -= size;
        memmove(from->received, from->received + size, from->size);
    }
}

static void watch(int poll, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
}

static void accept_connection(int poll, int listener) {
    int fd = accept(listener, NULL, NULL), on = 1;
    if (fd < 0) return;
    if (fd >= MAX_CONNECTIONS) {
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connections[fd].received = malloc(MAX_REQUEST + 1);
    watch(poll, fd);
}

static void send_paced_chunks(int timer) {
    uint64_t passed;
    if (read(timer, &passed, sizeof passed) <= 0) return;
    for (int fd = 0; fd < MAX_CONNECTIONS; fd++)
        if (connections[fd].chunks_left > 0) send_chunk(fd, connections[fd].chunks_left--);
}

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 1024)) {
        perror("upstream");
        exit(1);
    }
    return fd;
}

int main(int count, char **arguments) {
    if (count != 2) return fputs("usage: upstream PORT\n", stderr), 2;
    int listener = listen_on(atoi(arguments[1])), poll = epoll_create1(0);
    int timer = timerfd_create(CLOCK_MONOTONIC, 0);
    struct itimerspec beat = {{0, PACE_NS}, {0, PACE_NS}};
    timerfd_settime(timer, 0, &beat, NULL);
    watch(poll, listener);
    watch(poll, timer);
    struct epoll_event events[256];
    for (;;) {
        int ready = epoll_wait(poll, events, 256, -1);
        for (int at = 0; at < ready; at++) {
            int fd = events[at].data.fd;
            if (fd == listener) accept_connection(poll, listener);
            else if (fd == timer) send_paced_chunks(timer);
            else receive(fd);
        }
    }
}
