package lobby;

import com.google.gson.Gson;
import com.google.gson.JsonObject;
import com.google.protobuf.Any;
import com.google.protobuf.Message;
import com.google.protobuf.util.Durations;
import com.google.protobuf.util.Timestamps;
import com.google.rpc.BadRequest;
import com.google.rpc.Code;
import com.google.rpc.ErrorInfo;
import com.google.rpc.Status;
import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.ForwardingServerCall.SimpleForwardingServerCall;
import io.grpc.Metadata;
import io.grpc.Server;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.protobuf.StatusProto;
import io.grpc.protobuf.services.ProtoReflectionServiceV1;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.net.InetSocketAddress;
import java.net.URLDecoder;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import lobby.v1.CountdownRequest;
import lobby.v1.CountdownTick;
import lobby.v1.JoinRequest;
import lobby.v1.JoinResponse;
import lobby.v1.LeaveRequest;
import lobby.v1.LeaveResponse;
import lobby.v1.RoomsGrpc;

/**
 * Rooms of a lobby as an ordinary gRPC service. Pith calls its methods: the clients' JSON arrives as these messages,
 * the facts about the session as metadata, and changes of the session go back as metadata.
 */
public final class Rooms extends RoomsGrpc.RoomsImplBase {
  private static final Gson GSON = new Gson();
  private final AtomicLong joined = new AtomicLong();
  private final ScheduledExecutorService clock = Executors.newSingleThreadScheduledExecutor();

  @Override
  public void join(JoinRequest request, StreamObserver<JoinResponse> out) {
    BadRequest.Builder bad = BadRequest.newBuilder();
    for (var field : new TreeMap<>(Map.of("name", request.getName(), "room", request.getRoom())).entrySet()) {
      if (field.getValue().isEmpty()) {
        bad.addFieldViolationsBuilder().setField(field.getKey()).setDescription("must not be empty");
      }
    }
    if (bad.getFieldViolationsCount() > 0) {
      out.onError(refusal(Code.INVALID_ARGUMENT, "name and room are needed", bad.build()));
      return;
    }
    if (request.getRoom().equals("closed")) {
      out.onError(refusal(Code.FAILED_PRECONDITION, "this room is closed", reason("ROOM_CLOSED")));
      return;
    }
    change("bind", request.getName()); // a demonstration: a real service checks who is there
    change("set", GSON.toJson(Map.of("room", request.getRoom())));
    change("join", GSON.toJson(new String[] {"room." + request.getRoom()}));
    out.onNext(
        JoinResponse.newBuilder()
            .setRoom(request.getRoom())
            .setModeValue(request.getModeValue())
            .setNumber(joined.incrementAndGet())
            .setJoinedAt(Timestamps.now())
            .build());
    out.onCompleted();
  }

  @Override
  public void leave(LeaveRequest request, StreamObserver<LeaveResponse> out) {
    JsonObject data = GSON.fromJson(fact("data"), JsonObject.class); // there because the route forwards it
    if (data == null || !data.has("room")) {
      out.onError(refusal(Code.FAILED_PRECONDITION, "join a room first", reason("NOT_IN_ROOM")));
      return;
    }
    String room = data.get("room").getAsString();
    change("set", "{\"room\":null}");
    change("leave", GSON.toJson(new String[] {"room." + room}));
    out.onNext(LeaveResponse.newBuilder().setRoom(room).build());
    out.onCompleted();
  }

  @Override
  public void countdown(CountdownRequest request, StreamObserver<CountdownTick> out) {
    if (request.getFrom() < 1 || request.getFrom() > 100) {
      out.onError(refusal(Code.OUT_OF_RANGE, "from is 1 to 100"));
      return;
    }
    tick((ServerCallStreamObserver<CountdownTick>) out, request.getFrom(), Durations.toMillis(request.getEvery()));
  }

  private void tick(ServerCallStreamObserver<CountdownTick> out, int left, long everyMs) {
    if (out.isCancelled()) return; // the client has left, or the timeout is over
    out.onNext(CountdownTick.newBuilder().setLeft(left).build());
    if (left == 0) out.onCompleted();
    else clock.schedule(() -> tick(out, left - 1, everyMs), everyMs, TimeUnit.MILLISECONDS);
  }

  // ---- what comes from the gateway, and what goes back

  private static final Context.Key<Metadata> FACTS = Context.key("facts");
  private static final Context.Key<Metadata> CHANGES = Context.key("changes");

  private static Metadata.Key<String> key(String name) {
    return Metadata.Key.of("x-pith-" + name, Metadata.ASCII_STRING_MARSHALLER);
  }

  /** What the gateway sends about the session: sid, uid, client-ip, route, seq, data. Some bytes come as %XX. */
  private static String fact(String name) {
    String value = FACTS.get().get(key(name));
    return value == null ? "" : URLDecoder.decode(value.replace("+", "%2B"), StandardCharsets.UTF_8);
  }

  /** Changes the session; it takes effect before the client gets its answer. */
  private static void change(String name, String value) {
    CHANGES.get().put(key(name), URLEncoder.encode(value, StandardCharsets.UTF_8).replace("+", "%20"));
  }

  /** Keeps a call's metadata for `fact`, and sends what `change` has collected before the first message. */
  private static final class SessionMetadata implements ServerInterceptor {
    @Override
    public <In, Out> ServerCall.Listener<In> interceptCall(
        ServerCall<In, Out> call, Metadata facts, ServerCallHandler<In, Out> next) {
      Metadata changes = new Metadata();
      Context context = Context.current().withValues(FACTS, facts, CHANGES, changes);
      var changing =
          new SimpleForwardingServerCall<In, Out>(call) {
            @Override
            public void sendHeaders(Metadata headers) {
              headers.merge(changes);
              super.sendHeaders(headers);
            }
          };
      return Contexts.interceptCall(context, changing, facts, next);
    }
  }

  private static ErrorInfo reason(String reason) {
    return ErrorInfo.newBuilder().setReason(reason).setDomain("lobby").build();
  }

  /** A status whose details the client sees as fields of its error. */
  private static StatusRuntimeException refusal(Code code, String text, Message... details) {
    Status.Builder status = Status.newBuilder().setCode(code.getNumber()).setMessage(text);
    for (Message detail : details) status.addDetails(Any.pack(detail));
    return StatusProto.toStatusRuntimeException(status.build());
  }

  /** Listens on ADDR (host:port) until SIGTERM. */
  public static void main(String[] args) throws Exception {
    String address = System.getenv().getOrDefault("ADDR", "127.0.0.1:9000");
    int colon = address.lastIndexOf(':');
    String host = address.substring(0, colon);
    var builder =
        NettyServerBuilder.forAddress(
                new InetSocketAddress(host, Integer.parseInt(address.substring(colon + 1))))
            .addService(new Rooms())
            .intercept(new SessionMetadata());
    if (!"off".equals(System.getenv("REFLECTION"))) builder.addService(ProtoReflectionServiceV1.newInstance());
    Server server = builder.build().start();
    Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(server)));
    System.out.println("rooms on gRPC: listening on " + host + ":" + server.getPort());
    server.awaitTermination();
  }

  /** Calls in flight have five seconds to end. */
  private static void stop(Server server) {
    try {
      server.shutdown().awaitTermination(5, TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
