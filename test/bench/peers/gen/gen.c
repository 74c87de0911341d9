// The load generator of the benchmark: one process, one thread, epoll. It opens connections of one kind, takes
// commands on its standard input, one a line, and answers each with one line of JSON on its standard output.
//
//   gen MODE PORT [path=/] [ring=256] [slow=0] [pids=1,2]
//
//   MODE   pomelo        Pomelo over WebSocket: handshake, ack, heartbeats, requests
//          pomelo-tcp    the same over TCP
//          echo          WebSocket echo: the same frames, expected back
//          centrifugo    Centrifugo's JSON protocol: connect, rpc, subscribe
//          cable         Action Cable's JSON protocol: welcome, subscribe, message
//          nats          requests on NATS, without a gateway
//   ring   requests that a connection may have in flight
//   slow   every so manieth connection, from the first, has small buffers and reads little in a load with `sip`
//   pids   processes whose CPU is counted; the command `pids` changes them
//
//   open N                 until N connections have finished their handshakes
//   keep N                 closes all but the first N
//   beat                   one heartbeat on every connection, where the protocol has the client send them
//   join ROUTE N           each of the first N asks ROUTE once, and has its answer
//   probe ROUTE            connects and asks, again and again, until an answer comes; says when that was
//   closed …  paced …  cast …     loads; words as name=value:
//          conns=1000 warm=1 secs=3 route=… body=99
//          closed: inflight=1: each connection has so many requests in flight
//          paced:  rate=1000: so many requests a second in all, whatever comes back; a latency begins when the
//                  request was due, not when it was sent, so that a server that stalls is charged for what waited
//          cast:   the first connection asks for a broadcast, and again when all have it
//          hung=ROUTE every=10: every tenth connection asks this route, and is not measured
//          sip=1024: connections that are slow read so many bytes a second, and are not measured
//   quit
//
// Latencies are kept in a histogram whose buckets are 1/128 of a power of two wide (0.8 %), as nanoseconds; see
// histogram.ts, which reads them. `gen index 1000` prints the bucket of 1,000 ns.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { POMELO, POMELO_TCP, ECHO, CENTRIFUGO, CABLE, NATS };
enum { NONE, CONNECTING, UPGRADING, GREETING, READY, CLOSED };
enum { FREE, WAITING, ABANDONED };
enum { IDLE, CLOSED_LOOP, PACED, CAST };

// Bytes; a connection's buffers grow to this, and a server that sends a larger frame is wrong.
#define MAX_BUFFER (1 << 20)
// Connections that are being made at a time.
#define MAX_CONNECTING 64
// Requests that are sent before answers are read again, when a paced load is late.
#define MAX_CATCH_UP 64
#define STDIN_EVENT UINT32_MAX
// One address has 28,000 ports for connections to one server.
#define CONNS_PER_ADDRESS 5000
#define NEEDLE 16

typedef struct {
  uint64_t at;
  uint32_t id;
  uint8_t state, counted;
} Slot;

typedef struct {
  int fd, state, watched;
  uint8_t *in, *out;
  int inLen, inCap, outLen, outCap;
  uint32_t id;
  int waiting;
  Slot *slots;
  uint64_t beatDue;
  uint8_t slow, stopped;
} Conn;

static struct {
  int mode, port, ring, slow;
  const char *path;
} opt = {.ring = 256, .path = "/"};

static struct {
  int kind, conns, inflight, every, sip, bodyLen;
  double rate, warm, secs;
  char route[128], hung[128];
  char body[65536];
} load;

// What one load has counted.
static struct {
  uint64_t answered, pushed, sent, skipped, wrong, slowClosed, casts, lost;
} count;

static Conn *conns;
// `owed` are those of the requests in flight that a load waits for at its end.
static int capacity, opened, connecting, ready, waiting, owed;
static int epollFd, measuring, loading, beatSeconds = 30, stopReading;
static uint64_t windowFrom, windowTo, castAt;
static int castSeen, castBusy;
static int pids[16], pidCount;
static char line[8192];
static int lineLen, inputEnded;

// --- time, histogram, processes

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + t.tv_nsec;
}

#define SUB_BITS 7
#define BUCKETS ((64 - SUB_BITS + 1) << SUB_BITS)
static uint64_t histogram[BUCKETS];

static int indexOf(uint64_t value) {
  if (value < (1 << SUB_BITS)) return (int)value;
  int shift = 63 - __builtin_clzll(value) - SUB_BITS;
  return (shift << SUB_BITS) + (int)(value >> shift);
}

static void record(uint64_t from, uint64_t to) { histogram[indexOf(to > from ? to - from : 0)]++; }

// Microseconds on a core, of all threads as the scheduler counted them; -1: it is gone, or not counted here.
static double schedOf(int pid) {
  char name[300];
  snprintf(name, sizeof name, "/proc/%d/task", pid);
  DIR *dir = opendir(name);
  if (!dir) return -1;
  double sum = 0;
  for (struct dirent *e; (e = readdir(dir));) {
    if (e->d_name[0] == '.') continue;
    snprintf(name, sizeof name, "/proc/%d/task/%.20s/schedstat", pid, e->d_name);
    FILE *file = fopen(name, "r");
    unsigned long long ns = 0;
    if (!file) continue;
    if (fscanf(file, "%llu", &ns) == 1) sum += ns;
    fclose(file);
  }
  closedir(dir);
  return sum / 1e3;
}

// Microseconds, utime and stime of the process with its threads that have ended; in ticks of 10 ms.
static double statOf(int pid) {
  char name[64], text[2048];
  snprintf(name, sizeof name, "/proc/%d/stat", pid);
  FILE *file = fopen(name, "r");
  if (!file) return -1;
  int n = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[n > 0 ? n : 0] = 0;
  char *after = strrchr(text, ')');
  unsigned long long user = 0, kernel = 0;
  const char *form = "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu";
  if (!after || sscanf(after + 2, form, &user, &kernel) != 2) return -1;
  return (user + kernel) * 1e6 / sysconf(_SC_CLK_TCK);
}

static double ownCpu(void) {
  struct rusage r;
  getrusage(RUSAGE_SELF, &r);
  return r.ru_utime.tv_sec * 1e6 + r.ru_utime.tv_usec + r.ru_stime.tv_sec * 1e6 + r.ru_stime.tv_usec;
}

static void setPids(char *text) {
  pidCount = 0;
  for (char *p = strtok(text, ","); p && pidCount < 16; p = strtok(0, ",")) pids[pidCount++] = atoi(p);
}

static void die(const char *form, ...) {
  va_list args;
  va_start(args, form);
  fprintf(stderr, "gen: ");
  vfprintf(stderr, form, args);
  fprintf(stderr, "\n");
  va_end(args);
  exit(1);
}

// --- one connection: sockets

static void watch(Conn *c) {
  int want = (c->stopped ? 0 : EPOLLIN) | (c->outLen ? EPOLLOUT : 0);
  if (c->fd < 0 || want == c->watched) return;
  c->watched = want;
  struct epoll_event e = {.events = want, .data.u32 = c - conns};
  epoll_ctl(epollFd, EPOLL_CTL_MOD, c->fd, &e);
}

// Forgets what a connection waits for.
static void forget(Conn *c) {
  for (int i = 0; i < opt.ring; i++) {
    if (c->slots[i].state == WAITING && c->slots[i].counted) owed--;
    c->slots[i].state = FREE;
  }
  waiting -= c->waiting;
  c->waiting = 0;
}

// The same, but the answers may still come.
static void abandon(Conn *c) {
  for (int i = 0; i < opt.ring; i++) {
    if (c->slots[i].state != WAITING) continue;
    if (c->slots[i].counted) owed--;
    c->slots[i].state = ABANDONED;
  }
  waiting -= c->waiting;
  c->waiting = 0;
}

static void shut(Conn *c) {
  if (c->fd >= 0) close(c->fd);
  if (c->state == CONNECTING || c->state == UPGRADING) connecting--;
  if (c->state == READY) ready--;
  c->fd = -1;
  c->state = CLOSED;
  c->inLen = c->outLen = 0;
  c->beatDue = 0;
}

// The server has ended it, or the network did.
static void lose(Conn *c) {
  if (c->slow && load.sip) count.slowClosed++;
  else count.wrong++;
  shut(c);
  forget(c);
}

static void put(Conn *c, const void *data, int n) {
  if (c->outLen + n > c->outCap) {
    c->outCap = (c->outLen + n) * 2;
    c->out = realloc(c->out, c->outCap);
  }
  memcpy(c->out + c->outLen, data, n);
  c->outLen += n;
}

static void flush(Conn *c) {
  int at = 0;
  while (at < c->outLen) {
    int n = send(c->fd, c->out + at, c->outLen - at, MSG_NOSIGNAL);
    if (n > 0) at += n;
    else if (errno == EAGAIN) break;
    else {
      lose(c);
      return;
    }
  }
  if (at < c->outLen) memmove(c->out, c->out + at, c->outLen - at);
  c->outLen -= at;
  watch(c);
}

static void connectOne(Conn *c) {
  int i = c - conns, one = 1;
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (c->fd < 0) die("socket: %s", strerror(errno));
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (i >= CONNS_PER_ADDRESS) {
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + i / CONNS_PER_ADDRESS);
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(c->fd, (void *)&from, sizeof from)) die("bind: %s", strerror(errno));
  }
  c->slow = opt.slow && i % opt.slow == 0;
  if (c->slow) {
    // As on a real network: loopback's segments of 64 KiB give the server megabytes of buffer.
    int segment = 536, buffer = 4096;
    setsockopt(c->fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
    setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
  }
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(opt.port)};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(c->fd, (void *)&to, sizeof to) && errno != EINPROGRESS) {
    close(c->fd);
    c->fd = -1;
    c->state = CLOSED;
    return;
  }
  if (!c->slots) c->slots = calloc(opt.ring, sizeof(Slot));
  c->state = CONNECTING;
  c->id = 0;
  c->stopped = 0;
  c->watched = EPOLLOUT;
  connecting++;
  struct epoll_event e = {.events = EPOLLOUT, .data.u32 = i};
  epoll_ctl(epollFd, EPOLL_CTL_ADD, c->fd, &e);
}

// --- one connection: what is sent

static uint32_t seed = 12345;

static void putFrame(Conn *c, int first, const uint8_t *data, int n) {
  uint8_t head[14];
  int k = 0;
  head[k++] = first;
  if (n < 126) head[k++] = 0x80 | n;
  else {
    head[k++] = 0x80 | 126;
    head[k++] = n >> 8;
    head[k++] = n;
  }
  seed = seed * 1664525u + 1013904223u;
  uint8_t *mask = head + k;
  memcpy(mask, &seed, 4);
  put(c, head, k + 4);
  put(c, data, n);
  uint8_t *at = c->out + c->outLen - n;
  for (int i = 0; i < n; i++) at[i] ^= mask[i & 3];
}

static void putText(Conn *c, const char *text, int n) { putFrame(c, 0x81, (const uint8_t *)text, n); }

static void putPacket(Conn *c, int type, const void *body, int n) {
  static uint8_t packet[80000];
  packet[0] = type;
  packet[1] = n >> 16;
  packet[2] = n >> 8;
  packet[3] = n;
  memcpy(packet + 4, body, n);
  if (opt.mode == POMELO_TCP) put(c, packet, n + 4);
  else putFrame(c, 0x82, packet, n + 4);
}

#define BENCH_CHANNEL "\"{\\\"channel\\\":\\\"Bench\\\"}\""

// Asks; `at` is when it was due. False if the connection has as many in flight as it may.
static int request(Conn *c, const char *route, const char *body, int bodyLen, uint64_t at, int counted) {
  static char text[80000];
  Slot *slot = &c->slots[(c->id + 1) % opt.ring];
  if (c->state != READY || slot->state == WAITING) return 0;
  uint32_t id = ++c->id;
  *slot = (Slot){.at = at, .id = id, .state = WAITING, .counted = counted};
  c->waiting++;
  waiting++;
  owed += counted;
  count.sent++;
  switch (opt.mode) {
    case CENTRIFUGO: {
      int n = strcmp(route, "subscribe")
                  ? snprintf(text, sizeof text, "{\"id\":%u,\"rpc\":{\"method\":\"%s\",\"data\":%.*s}}", id, route, bodyLen, body)
                  : snprintf(text, sizeof text, "{\"id\":%u,\"subscribe\":{\"channel\":\"bench\"}}", id);
      putText(c, text, n);
      break;
    }
    case CABLE: {
      // The body is {"content":"…"}; what is inside goes into the text of `data`.
      int n = snprintf(text, sizeof text,
                       "{\"command\":\"message\",\"identifier\":" BENCH_CHANNEL
                       ",\"data\":\"{\\\"action\\\":\\\"%s\\\",\\\"id\\\":%u,\\\"content\\\":\\\"%.*s\\\"}\"}",
                       route, id, bodyLen - 14, body + 12);
      putText(c, text, n);
      break;
    }
    case NATS: {
      int n = snprintf(text, sizeof text, "PUB pith.rpc.%s _bench.%d.%u %d\r\n%.*s\r\n", route, (int)(c - conns), id, bodyLen, bodyLen, body);
      put(c, text, n);
      break;
    }
    default: {
      uint8_t *m = (uint8_t *)text;
      int k = 0, routeLen = strlen(route);
      m[k++] = 0;
      uint32_t v = id;
      for (; v >= 128; v >>= 7) m[k++] = (v & 127) | 128;
      m[k++] = v;
      m[k++] = routeLen;
      memcpy(m + k, route, routeLen);
      memcpy(m + k + routeLen, body, bodyLen);
      putPacket(c, 4, m, k + routeLen + bodyLen);
    }
  }
  return 1;
}

static void beat(Conn *c) {
  if (opt.mode == POMELO || opt.mode == POMELO_TCP) putPacket(c, 3, "", 0);
  else if (opt.mode == ECHO) putFrame(c, 0x89, (const uint8_t *)"", 0);
  // Centrifugo and AnyCable beat themselves, and Centrifugo closes a connection that does so unasked.
  else return;
  flush(c);
}

static int isHung(Conn *c) { return load.hung[0] && (c - conns) % load.every == 1; }

// As many new requests as a closed loop has had answers.
static void again(Conn *c, int n) {
  if (!loading || load.kind != CLOSED_LOOP || c - conns >= load.conns) return;
  for (; n > 0; n--) request(c, load.route, load.body, load.bodyLen, now(), 1);
}

// --- one connection: what comes

static void becomeReady(Conn *c) {
  c->state = READY;
  ready++;
  if (opt.mode == POMELO || opt.mode == POMELO_TCP) c->beatDue = now() + beatSeconds * 1000000000ull;
}

static void pushed(const uint8_t *data, int n) {
  if (load.kind != CAST || !loading) return;
  if (!memmem(data, n, load.body + 12, NEEDLE)) count.wrong++;
  if (!castBusy) return;
  uint64_t t = now();
  if (measuring) count.pushed++;
  if (++castSeen < load.conns) return;
  castBusy = 0;
  if (measuring) {
    count.casts++;
    record(castAt, t);
  }
}

// Returns 1 if it was an answer, and one more may be asked.
static int answered(Conn *c, uint32_t id, int isError, const uint8_t *data, int n) {
  Slot *slot = &c->slots[id % opt.ring];
  if (id == 0 || slot->id != id || slot->state == FREE) {
    count.wrong++;
    return 0;
  }
  int was = slot->state;
  slot->state = FREE;
  if (was == ABANDONED) return 0;
  c->waiting--;
  waiting--;
  owed -= slot->counted;
  if (!loading && load.kind == IDLE) {
    if (isError) count.wrong++;
    return 1;
  }
  if (isHung(c)) return 1;
  // On the floor of a fan-out the request itself is not answered.
  if (load.kind != CAST && (isError || !memmem(data, n, load.body + 12, NEEDLE))) count.wrong++;
  if (load.kind == CAST) return 1;
  uint64_t t = now();
  if (measuring && !(c->slow && load.sip)) count.answered++;
  if (c->slow && load.sip) return 1;
  if (load.kind == PACED ? slot->counted : measuring) record(slot->at, t);
  return 1;
}

static void greet(Conn *c) {
  static const char sys[] = "{\"sys\":{\"type\":\"bench\",\"version\":\"1.0\",\"rsa\":{}},\"user\":{}}";
  c->state = GREETING;
  if (opt.mode == CENTRIFUGO) {
    c->id = 1;
    putText(c, "{\"id\":1,\"connect\":{}}", 21);
  } else if (opt.mode == POMELO || opt.mode == POMELO_TCP) putPacket(c, 1, sys, sizeof sys - 1);
  else if (opt.mode == ECHO) becomeReady(c);
  flush(c);
}

static int onPacket(Conn *c, int type, uint8_t *body, int n) {
  if (type == 1) {
    char text[2048];
    int len = n < 2047 ? n : 2047;
    memcpy(text, body, len);
    text[len] = 0;
    char *at = strstr(text, "\"heartbeat\":");
    int seconds = at ? atoi(at + 12) : 0;
    if (seconds > 0) beatSeconds = seconds > 1000 ? seconds / 1000 : seconds;
    putPacket(c, 2, "", 0);
    becomeReady(c);
    return 0;
  }
  // Answered by the next heartbeat, not at once: Pomelo would answer that, and so on.
  if (type == 3) return 0;
  if (type != 4 || n < 2) {
    count.wrong++;
    return 0;
  }
  int kind = (body[0] >> 1) & 7;
  if (kind == 3) {
    pushed(body, n);
    return 0;
  }
  uint32_t id = 0;
  int k = 1;
  for (int shift = 0; k < n; shift += 7) {
    id |= (uint32_t)(body[k] & 127) << shift;
    if (!(body[k++] & 128)) break;
  }
  if (kind != (opt.mode == ECHO ? 0 : 2)) {
    count.wrong++;
    return 0;
  }
  return answered(c, id, body[0] & 0x20, body + k, n - k);
}

static int onPackets(Conn *c, uint8_t *data, int n) {
  int done = 0, at = 0;
  while (at + 4 <= n) {
    int len = data[at + 1] << 16 | data[at + 2] << 8 | data[at + 3];
    if (at + 4 + len > n) break;
    done += onPacket(c, data[at], data + at + 4, len);
    at += 4 + len;
  }
  if (at != n) count.wrong++;
  return done;
}

static int onCentrifugo(Conn *c, uint8_t *data, int n) {
  int done = 0;
  uint8_t *end = data + n;
  while (data < end) {
    uint8_t *eol = memchr(data, '\n', end - data);
    int len = (eol ? eol : end) - data;
    if (len == 2) putText(c, "{}", 2);
    else if (len > 6 && !memcmp(data, "{\"id\":", 6)) {
      uint32_t id = strtoul((char *)data + 6, 0, 10);
      int isError = memmem(data, len, "\"error\":", 8) != 0;
      if (c->state == GREETING) {
        if (isError) count.wrong++;
        becomeReady(c);
      } else done += answered(c, id, isError, data, len);
    } else if (len > 0 && memmem(data, len, "\"push\":", 7)) pushed(data, len);
    else if (len > 0) count.wrong++;
    data += len + 1;
  }
  return done;
}

static int onCable(Conn *c, uint8_t *data, int n) {
  uint8_t *message = memmem(data, n, "\"message\":{", 11);
  if (message) {
    uint8_t *id = memmem(message, n - (message - data), "\"id\":", 5);
    if (!id) pushed(data, n);
    else return answered(c, strtoul((char *)id + 5, 0, 10), 0, data, n);
  } else if (memmem(data, n, "\"ping\"", 6)) return 0;
  else if (memmem(data, n, "\"welcome\"", 9)) {
    static const char subscribe[] = "{\"command\":\"subscribe\",\"identifier\":" BENCH_CHANNEL "}";
    putText(c, subscribe, sizeof subscribe - 1);
  } else if (memmem(data, n, "\"confirm_subscription\"", 22)) becomeReady(c);
  else count.wrong++;
  return 0;
}

static int onFrame(Conn *c, int op, uint8_t *data, int n) {
  if (op == 9) {
    putFrame(c, 0x8a, data, n);
    return 0;
  }
  if (op == 10) return 0;
  if (op != 1 && op != 2) {
    if (op != 8) count.wrong++;
    return 0;
  }
  if (opt.mode == CENTRIFUGO) return onCentrifugo(c, data, n);
  if (opt.mode == CABLE) return onCable(c, data, n);
  return onPackets(c, data, n);
}

// Each reader takes what is whole from data[0, n) and returns how much that was.

// The head of the frame at p: its length, and that of the payload; 0 if it has not come.
static int frameHead(const uint8_t *p, int n, int64_t *len) {
  if (n < 2) return 0;
  *len = p[1] & 127;
  int head = *len == 126 ? 4 : *len == 127 ? 10 : 2;
  if (n < head) return 0;
  if (head == 4) *len = p[2] << 8 | p[3];
  if (head == 10) *len = (int64_t)p[6] << 24 | p[7] << 16 | p[8] << 8 | p[9];
  return n < head + *len ? 0 : head;
}

static int readFrames(Conn *c, uint8_t *data, int n, int *done) {
  int at = 0;
  for (;;) {
    uint8_t *p = data + at;
    int64_t len, more;
    int head = frameHead(p, n - at, &len);
    if (!head) return at;
    int used = head + len, op = p[0] & 15, last = p[0] & 0x80;
    uint8_t *payload = p + head;
    // Fragments: the payloads are put together when all have come.
    while (!last) {
      int next = frameHead(p + used, n - at - used, &more);
      if (!next) break;
      last = p[used] & 0x80;
      if (p[used] & 15) die("a frame of type %d within a message", p[used] & 15);
      used += next + more;
    }
    if (!last) return at;
    for (int from = head + len; from < used;) {
      int next = frameHead(p + from, used - from, &more);
      memmove(payload + len, p + from + next, more);
      len += more;
      from += next + more;
    }
    *done += onFrame(c, op, payload, len);
    at += used;
  }
}

static int readPackets(Conn *c, uint8_t *data, int n, int *done) {
  int at = 0;
  while (n - at >= 4) {
    int len = data[at + 1] << 16 | data[at + 2] << 8 | data[at + 3];
    if (n - at < 4 + len) break;
    *done += onPacket(c, data[at], data + at + 4, len);
    at += 4 + len;
  }
  return at;
}

static int readNats(Conn *c, uint8_t *data, int n, int *done) {
  int at = 0;
  for (;;) {
    uint8_t *eol = memmem(data + at, n - at, "\r\n", 2);
    if (!eol) return at;
    char *text = (char *)data + at;
    int len = eol - data - at;
    text[len] = 0;
    int used = len + 2;
    if (!strncmp(text, "MSG ", 4)) {
      char subject[64];
      int sid, size;
      if (sscanf(text, "MSG %63s %d %d", subject, &sid, &size) != 3) die("nats: %s", text);
      if (n - at < used + size + 2) {
        text[len] = '\r';
        return at;
      }
      char *id = strrchr(subject, '.');
      *done += answered(c, id ? strtoul(id + 1, 0, 10) : 0, 0, eol + 2, size);
      used += size + 2;
    } else if (!strcmp(text, "PING")) put(c, "PONG\r\n", 6);
    else if (!strcmp(text, "PONG")) {
      if (c->state == GREETING) becomeReady(c);
    } else if (!strncmp(text, "INFO", 4)) {
      if (c->state == GREETING) {
        char hello[128];
        int k = snprintf(hello, sizeof hello, "CONNECT {\"verbose\":false}\r\nSUB _bench.%d.* 1\r\nPING\r\n", (int)(c - conns));
        put(c, hello, k);
      }
    } else die("nats: %s", text);
    at += used;
  }
}

static int readUpgrade(Conn *c, uint8_t *data, int n) {
  uint8_t *end = memmem(data, n, "\r\n\r\n", 4);
  if (!end) return 0;
  if (memcmp(data, "HTTP/1.1 101", 12)) {
    lose(c);
    return 0;
  }
  connecting--;
  greet(c);
  return end + 4 - data;
}

static void onReadable(Conn *c, int most) {
  int done = 0;
  for (;;) {
    if (c->inCap - c->inLen < 16384) {
      c->inCap = c->inCap ? c->inCap * 2 : 32768;
      if (c->inCap > MAX_BUFFER) die("a frame of over %d bytes", MAX_BUFFER / 2);
      c->in = realloc(c->in, c->inCap);
    }
    int space = c->inCap - c->inLen;
    if (most && space > most) space = most;
    int n = recv(c->fd, c->in + c->inLen, space, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
      lose(c);
      return;
    }
    if (n < 0) break;
    c->inLen += n;
    int at = 0;
    if (c->state == UPGRADING) at = readUpgrade(c, c->in, c->inLen);
    if (c->fd < 0) return;
    if (c->state >= GREETING) {
      uint8_t *rest = c->in + at;
      int left = c->inLen - at;
      if (opt.mode == POMELO_TCP) at += readPackets(c, rest, left, &done);
      else if (opt.mode == NATS) at += readNats(c, rest, left, &done);
      else at += readFrames(c, rest, left, &done);
    }
    if (at > 0 && at < c->inLen) memmove(c->in, c->in + at, c->inLen - at);
    c->inLen -= at;
    if (n < space || most) break;
  }
  if (done) again(c, done);
  if (c->fd >= 0 && c->outLen) flush(c);
}

static void onConnected(Conn *c) {
  int error = 0;
  socklen_t len = sizeof error;
  getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
  if (error) {
    shut(c);
    return;
  }
  if (opt.mode == POMELO_TCP || opt.mode == NATS) {
    connecting--;
    greet(c);
  } else {
    c->state = UPGRADING;
    char head[512];
    int n = snprintf(head, sizeof head,
                     "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
                     opt.path, opt.port, opt.mode == CABLE ? "Sec-WebSocket-Protocol: actioncable-v1-json\r\n" : "");
    put(c, head, n);
    flush(c);
  }
  watch(c);
}

// --- the loop

static void heartbeats(uint64_t t) {
  static uint64_t swept;
  if (t - swept < 500000000ull) return;
  swept = t;
  for (int i = 0; i < opened; i++) {
    Conn *c = &conns[i];
    if (c->state != READY || !c->beatDue || c->beatDue > t) continue;
    c->beatDue = t + beatSeconds * 1000000000ull;
    beat(c);
  }
}

// Slow connections take a sip once a second.
static void sips(uint64_t t) {
  static uint64_t due;
  if (!stopReading || t < due) return;
  due = t + 1000000000ull;
  for (int i = 0; i < opened; i++)
    if (conns[i].slow && conns[i].fd >= 0) onReadable(&conns[i], load.sip);
}

static void readInput(void) {
  int n = read(0, line + lineLen, sizeof line - 1 - lineLen);
  if (n == 0 || (n < 0 && errno != EAGAIN)) inputEnded = 1;
  else if (n > 0) lineLen += n;
  if (lineLen >= (int)sizeof line - 1) die("a command of over %d bytes", (int)sizeof line);
}

// One turn: waits at most so long for something to happen, and does it.
static void turn(uint64_t waitNs) {
  static struct epoll_event events[512];
  struct timespec wait = {.tv_sec = waitNs / 1000000000ull, .tv_nsec = waitNs % 1000000000ull};
  int n = syscall(SYS_epoll_pwait2, epollFd, events, 512, &wait, 0, 8);
  if (n < 0 && errno == ENOSYS) n = epoll_wait(epollFd, events, 512, (waitNs + 999999) / 1000000);
  for (int i = 0; i < n; i++) {
    if (events[i].data.u32 == STDIN_EVENT) {
      readInput();
      continue;
    }
    Conn *c = &conns[events[i].data.u32];
    if (c->fd < 0) continue;
    if (c->state == CONNECTING) {
      onConnected(c);
      continue;
    }
    if (events[i].events & EPOLLOUT) flush(c);
    if (c->fd >= 0 && c->stopped && events[i].events & (EPOLLHUP | EPOLLERR)) lose(c);
    else if (c->fd >= 0 && !c->stopped && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) onReadable(c, 0);
  }
  uint64_t t = now();
  heartbeats(t);
  sips(t);
}

// --- commands

static void openAll(int n) {
  uint64_t from = now();
  if (n > capacity) die("at most %d connections", capacity);
  while (ready < n) {
    while (opened < n && connecting < MAX_CONNECTING) connectOne(&conns[opened++]);
    turn(10000000);
    if (now() - from > 60000000000ull) break;
    for (int i = 0; i < opened; i++)
      if (conns[i].state == CLOSED) die("connection %d of %d was refused or ended in its handshake", i + 1, n);
  }
  printf("{\"ready\":%d,\"seconds\":%.3f}\n", ready, (now() - from) / 1e9);
}

static void keep(int n) {
  for (int i = n; i < opened; i++)
    if (conns[i].fd >= 0) {
      shut(&conns[i]);
      forget(&conns[i]);
    }
  if (opened > n) opened = n;
  printf("{\"ready\":%d}\n", ready);
}

static void beatAll(void) {
  for (int i = 0; i < opened; i++)
    if (conns[i].state == READY) {
      beat(&conns[i]);
      conns[i].beatDue = now() + beatSeconds * 1000000000ull;
      if (i % 64 == 63) turn(0);
    }
  printf("{\"ready\":%d}\n", ready);
}

// Waits for what is in flight, at most so long; what is not answered then is abandoned. Returns how much that is.
static int drain(double seconds) {
  uint64_t until = now() + (uint64_t)(seconds * 1e9);
  while (owed > 0 && now() < until) turn(5000000);
  uint64_t t = now();
  int left = 0;
  for (int i = 0; i < opened; i++) {
    Conn *c = &conns[i];
    if (!c->waiting) continue;
    for (int k = 0; k < opt.ring; k++) {
      Slot *slot = &c->slots[k];
      if (slot->state != WAITING || !slot->counted) continue;
      left++;
      // Its latency is at least this.
      if (load.kind == PACED) record(slot->at, t);
    }
    abandon(c);
  }
  return left;
}

static void join(const char *route, int n) {
  load.kind = IDLE;
  count.wrong = 0;
  uint64_t from = now();
  for (int i = 0; i < n; i++) {
    char body[64];
    int len = snprintf(body, sizeof body, "{\"uid\":\"u%d\"}", i);
    request(&conns[i], route, body, len, now(), 1);
    flush(&conns[i]);
    // A burst of joins is not what is measured.
    while (waiting > 50 && now() - from < 30000000000ull) turn(1000000);
  }
  int left = drain(30);
  printf("{\"joined\":%d,\"wrong\":%lu,\"seconds\":%.3f}\n", n - left, count.wrong, (now() - from) / 1e9);
}

static void fillBody(int n) {
  int k = snprintf(load.body, sizeof load.body, "{\"content\":\"");
  for (; k < n - 2; k++) load.body[k] = 'a' + k % 26;
  memcpy(load.body + k, "\"}", 3);
  load.bodyLen = k + 2;
}

static void probe(const char *route) {
  snprintf(load.route, sizeof load.route, "%s", route);
  fillBody(99);
  load.kind = PACED;
  load.hung[0] = load.sip = 0;
  Conn *c = &conns[0];
  opened = 1;
  uint64_t from = now(), since = from;
  loading = 1;
  measuring = 1;
  count.answered = 0;
  while (!inputEnded && now() - from < 60000000000ull) {
    if (c->state == NONE || c->state == CLOSED) {
      connectOne(c);
      since = now();
    }
    if (c->state == READY && c->waiting == 0) {
      count.wrong = 0;
      request(c, load.route, load.body, load.bodyLen, now(), 0);
      flush(c);
    }
    uint64_t before = count.answered;
    turn(2000000);
    if (count.answered > before && count.wrong == 0) break;
    if (c->state == READY && count.answered > before) turn(2000000);
    if (c->state != CLOSED && now() - since > 1000000000ull) {
      shut(c);
      forget(c);
    }
    if (c->state == CLOSED) usleep(2000);
  }
  loading = measuring = 0;
  load.kind = IDLE;
  printf("{\"answered\":%s,\"at_ns\":%lu}\n", count.answered && !count.wrong ? "true" : "false", now());
}

static void parseLoad(char *words) {
  load.conns = 1000, load.inflight = 1, load.every = 10, load.sip = 0;
  load.rate = 1000, load.warm = 1, load.secs = 3;
  load.route[0] = load.hung[0] = 0;
  int bodyLen = 99;
  for (char *w = strtok(words, " \n"); w; w = strtok(0, " \n")) {
    char *v = strchr(w, '=');
    if (!v) die("a word without =: %s", w);
    *v++ = 0;
    if (!strcmp(w, "conns")) load.conns = atoi(v);
    else if (!strcmp(w, "inflight")) load.inflight = atoi(v);
    else if (!strcmp(w, "every")) load.every = atoi(v);
    else if (!strcmp(w, "sip")) load.sip = atoi(v);
    else if (!strcmp(w, "rate")) load.rate = atof(v);
    else if (!strcmp(w, "warm")) load.warm = atof(v);
    else if (!strcmp(w, "secs")) load.secs = atof(v);
    else if (!strcmp(w, "body")) bodyLen = atoi(v);
    else if (!strcmp(w, "route")) snprintf(load.route, sizeof load.route, "%s", v);
    else if (!strcmp(w, "hung")) snprintf(load.hung, sizeof load.hung, "%s", v);
    else die("unknown word %s", w);
  }
  if (load.conns < 1 || load.conns > opened) die("a load on %d of %d connections", load.conns, opened);
  if (bodyLen < 14 + NEEDLE || bodyLen > 60000) die("a body of %d bytes", bodyLen);
  if (load.inflight > opt.ring) die("more in flight than the ring has");
  fillBody(bodyLen);
}

static struct {
  double sched[16], stat[16], own;
  uint64_t at;
} begun, ended;

static void snapshot(double *sched, double *stat, double *own, uint64_t *at) {
  for (int i = 0; i < pidCount; i++) sched[i] = schedOf(pids[i]), stat[i] = statOf(pids[i]);
  *own = ownCpu();
  *at = now();
}

static uint64_t dueAt(uint64_t begin, uint64_t k) { return begin + (uint64_t)(k * 1e9 / load.rate); }

// What a load does in each turn besides reading; returns nanoseconds until it has to do more.
static uint64_t drive(uint64_t begin, uint64_t *k) {
  uint64_t t = now();
  if (load.kind == CLOSED_LOOP) return 20000000;
  if (load.kind == CAST) {
    if (castBusy && t - castAt > 3000000000ull) {
      count.lost += load.conns - castSeen;
      castBusy = 0;
    }
    if (castBusy) return 20000000;
    castSeen = 0;
    castBusy = 1;
    castAt = t;
    abandon(&conns[0]);
    request(&conns[0], load.route, load.body, load.bodyLen, t, 0);
    flush(&conns[0]);
    return 20000000;
  }
  for (int n = 0; n < MAX_CATCH_UP; n++) {
    uint64_t due = dueAt(begin, *k);
    if (due > t) return due - t;
    Conn *c = &conns[*k % load.conns];
    int isSlow = c->slow && load.sip, counted = due >= windowFrom && due < windowTo && !isHung(c) && !isSlow;
    if (request(c, isHung(c) ? load.hung : load.route, load.body, load.bodyLen, due, counted)) flush(c);
    else if (!isHung(c) && !isSlow) count.skipped++;
    ++*k;
  }
  return 0;
}

static void printLoad(int left) {
  double seconds = (ended.at - begun.at) / 1e9;
  printf("{\"secs\":%.4f,\"answered\":%lu,\"pushed\":%lu,\"casts\":%lu,\"sent\":%lu,\"skipped\":%lu,\"wrong\":%lu,\"lost\":%lu,"
         "\"unanswered\":%d,\"slow_closed\":%lu,\"core\":%.4f,",
         seconds, count.answered, count.pushed, count.casts, count.sent, count.skipped, count.wrong, count.lost, left,
         count.slowClosed, (ended.own - begun.own) / 1e6 / seconds);
  for (int which = 0; which < 2; which++) {
    printf("\"%s\":[", which ? "stat_us" : "sched_us");
    for (int i = 0; i < pidCount; i++) {
      double used = which ? ended.stat[i] - begun.stat[i] : ended.sched[i] - begun.sched[i];
      printf("%s%.1f", i ? "," : "", used);
    }
    printf("],");
  }
  printf("\"histogram\":[");
  int first = 1;
  for (int i = 0; i < BUCKETS; i++)
    if (histogram[i]) {
      printf("%s[%d,%lu]", first ? "" : ",", i, histogram[i]);
      first = 0;
    }
  printf("]}\n");
}

static void runLoad(int kind, char *words) {
  parseLoad(words);
  memset(&count, 0, sizeof count);
  memset(histogram, 0, sizeof histogram);
  load.kind = kind;
  loading = 1;
  castBusy = 0;
  stopReading = load.sip > 0;
  for (int i = 0; i < opened; i++)
    if (conns[i].slow && stopReading) {
      conns[i].stopped = 1;
      watch(&conns[i]);
    }
  uint64_t begin = now(), k = 0;
  windowFrom = begin + (uint64_t)(load.warm * 1e9);
  windowTo = windowFrom + (uint64_t)(load.secs * 1e9);
  if (kind == CLOSED_LOOP)
    for (int i = 0; i < load.conns; i++) {
      again(&conns[i], load.inflight);
      if (conns[i].fd >= 0) flush(&conns[i]);
    }
  while (now() < windowTo && !inputEnded) {
    if (!measuring && now() >= windowFrom) {
      snapshot(begun.sched, begun.stat, &begun.own, &begun.at);
      measuring = 1;
    }
    uint64_t t = now(), wait = drive(begin, &k), rest = (measuring ? windowTo : windowFrom) - t;
    turn(wait < rest ? wait : rest);
  }
  snapshot(ended.sched, ended.stat, &ended.own, &ended.at);
  measuring = 0;
  // Those that were due, and that this process was too late to send, are not left out.
  while (kind == PACED && !inputEnded && dueAt(begin, k) < windowTo) {
    drive(begin, &k);
    turn(0);
  }
  if (kind != PACED) loading = 0;
  int left = drain(kind == PACED ? 2 : 3);
  loading = 0;
  if (kind == CAST) left = 0;
  printLoad(left);
  load.kind = IDLE;
  load.sip = 0;
  load.hung[0] = 0;
}

static void obey(char *command) {
  char *rest = strchr(command, ' ');
  if (rest) *rest++ = 0;
  else rest = command + strlen(command);
  if (!strcmp(command, "open")) openAll(atoi(rest));
  else if (!strcmp(command, "keep")) keep(atoi(rest));
  else if (!strcmp(command, "beat")) beatAll();
  else if (!strcmp(command, "pids")) {
    setPids(rest);
    printf("{\"pids\":%d}\n", pidCount);
  } else if (!strcmp(command, "join")) {
    char route[128];
    int n = 0;
    if (sscanf(rest, "%127s %d", route, &n) != 2 || n > opened) die("join ROUTE N");
    join(route, n);
  } else if (!strcmp(command, "probe")) probe(rest);
  else if (!strcmp(command, "closed")) runLoad(CLOSED_LOOP, rest);
  else if (!strcmp(command, "paced")) runLoad(PACED, rest);
  else if (!strcmp(command, "cast")) runLoad(CAST, rest);
  else if (!strcmp(command, "quit")) exit(0);
  else die("unknown command %s", command);
  fflush(stdout);
}

int main(int argc, char **argv) {
  static const char *modes[] = {"pomelo", "pomelo-tcp", "echo", "centrifugo", "cable", "nats"};
  if (argc == 3 && !strcmp(argv[1], "index")) {
    printf("%d\n", indexOf(strtoull(argv[2], 0, 10)));
    return 0;
  }
  if (argc < 3) die("gen MODE PORT; see gen.c");
  opt.mode = -1;
  for (int i = 0; i < 6; i++)
    if (!strcmp(argv[1], modes[i])) opt.mode = i;
  if (opt.mode < 0) die("unknown mode %s", argv[1]);
  opt.port = atoi(argv[2]);
  for (int i = 3; i < argc; i++) {
    char *v = strchr(argv[i], '=');
    if (!v) die("an option without =: %s", argv[i]);
    *v++ = 0;
    if (!strcmp(argv[i], "path")) opt.path = v;
    else if (!strcmp(argv[i], "ring")) opt.ring = atoi(v);
    else if (!strcmp(argv[i], "slow")) opt.slow = atoi(v);
    else if (!strcmp(argv[i], "pids")) setPids(v);
    else die("unknown option %s", argv[i]);
  }
  signal(SIGPIPE, SIG_IGN);
  // Due times are kept to the microsecond, not to the kernel's 50.
  prctl(PR_SET_TIMERSLACK, 1);
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  capacity = limit.rlim_cur > 20100 ? 20000 : (int)limit.rlim_cur - 50;
  conns = calloc(capacity, sizeof(Conn));
  for (int i = 0; i < capacity; i++) conns[i].fd = -1;
  epollFd = epoll_create1(EPOLL_CLOEXEC);
  fcntl(0, F_SETFL, fcntl(0, F_GETFL) | O_NONBLOCK);
  struct epoll_event e = {.events = EPOLLIN, .data.u32 = STDIN_EVENT};
  epoll_ctl(epollFd, EPOLL_CTL_ADD, 0, &e);
  while (!inputEnded) {
    turn(50000000);
    char *eol;
    while ((eol = memchr(line, '\n', lineLen))) {
      char command[sizeof line];
      int n = eol - line;
      memcpy(command, line, n);
      command[n] = 0;
      lineLen -= n + 1;
      memmove(line, eol + 1, lineLen);
      obey(command);
    }
  }
  return 0;
}
