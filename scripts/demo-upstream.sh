#!/usr/bin/env bash
# Servers that sandboxes on this machine can try to reach, without an internet.
#
#   demo-upstream.sh start    makes them and prints their addresses
#   demo-upstream.sh stop     removes them without a trace
#
# The machine itself is always closed to sandboxes, so the servers are in a
# network namespace behind it. Each address stands for one rule of the policy:
#
#   192.31.196.112, 2620:4f:8000::112    public: `internet` and an allowlist
#       (the registries give them to AS112, which drops what is sent there, so
#       that nothing is lost by a route of our own)
#   203.0.113.112, 2001:db8:113::112     documentation: only an allowlist that
#       names them or a range inside 203.0.113.0/24, 2001:db8::/32
#   10.112.0.112                         private: only an allowlist likewise
#
# Closed whatever a profile says are the machine, whose end of the cable is
# 198.51.100.113, and metadata addresses. Those have no server here, since a
# machine in a cloud needs its own; a sandbox is refused them either way.
#
# Port 80 answers with the address that was reached. Start this before the
# runner, or give the runner a moment to notice the new routes.
set -euo pipefail

namespace=palisade-upstream
link=demo-up
pid_file=/run/palisade-upstream.pid
addresses4=(192.31.196.112 203.0.113.112 10.112.0.112)
addresses6=(2620:4f:8000::112 2001:db8:113::112)

server='
import http.server, socket
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    daemon_threads = True
    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        reached = self.connection.getsockname()[0].removeprefix("::ffff:")
        body = f"reached {reached}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
Server(("::", 80), Handler).serve_forever()
'

start() {
  stop
  trap stop ERR
  ip netns add "$namespace"
  ip -n "$namespace" link set lo up
  ip link add "$link" type veth peer name "$link" netns "$namespace"
  ip address add 198.51.100.113/30 dev "$link"
  ip address add 2001:db8:64::1/126 dev "$link" nodad
  ip link set "$link" up
  ip -n "$namespace" address add 198.51.100.114/30 dev "$link"
  ip -n "$namespace" address add 2001:db8:64::2/126 dev "$link" nodad
  ip -n "$namespace" link set "$link" up
  ip -n "$namespace" route add default via 198.51.100.113
  ip -n "$namespace" route add default via 2001:db8:64::1
  for address in "${addresses4[@]}"; do
    ip -n "$namespace" address add "$address/32" dev lo
    ip route add "$address/32" via 198.51.100.114 dev "$link"
  done
  for address in "${addresses6[@]}"; do
    ip -n "$namespace" address add "$address/128" dev lo nodad
    ip route add "$address/128" via 2001:db8:64::2 dev "$link"
  done
  nsenter --net="/run/netns/$namespace" python3 -c "$server" </dev/null >/dev/null 2>&1 &
  echo $! >"$pid_file"
  trap - ERR
  for _ in $(seq 100); do
    if nsenter --net="/run/netns/$namespace" ss -Hltn 'sport = :80' | grep -q .; then
      printf '%s\n' "${addresses4[@]}" "${addresses6[@]}"
      return
    fi
    sleep 0.05
  done
  echo "demo-upstream: the server does not start" >&2
  stop
  return 1
}

stop() {
  # The number may be another process's by now: it must be inside the namespace.
  if [ -f "$pid_file" ]; then
    pid="$(cat "$pid_file")"
    if ip netns pids "$namespace" 2>/dev/null | grep -qx "$pid"; then
      kill "$pid" 2>/dev/null || true
    fi
    rm -f "$pid_file"
  fi
  # Its end of the cable takes the other end and the routes with it.
  ip link delete "$link" 2>/dev/null || true
  ip netns delete "$namespace" 2>/dev/null || true
}

case "${1:-}" in
  start | stop) "$1" ;;
  *)
    echo "usage: $0 start|stop" >&2
    exit 64
    ;;
esac
