package hello;

import com.google.gson.Gson;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonPrimitive;
import com.google.protobuf.ByteString;
import io.grpc.Server;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.StreamObserver;
import java.net.InetSocketAddress;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import pith.v1.BackendGrpc;
import pith.v1.Body;
import pith.v1.Error;
import pith.v1.Push;
import pith.v1.Reply;
import pith.v1.Request;

/** A backend of Pith on gRPC: it answers hello.world.greet, and pushes onGreet to the player who asked. */
public final class Hello extends BackendGrpc.BackendImplBase {
  private static final Gson GSON = new Gson();

  /** Called for each message; the gateway calls it for many at once. */
  @Override
  public void handle(Request request, StreamObserver<Reply> out) {
    out.onNext(reply(request));
    out.onCompleted();
  }

  private static Reply reply(Request request) {
    if (!request.getRoute().equals("hello.world.greet"))
      return fail(404, "NO_ROUTE", "no such route: " + request.getRoute());
    String name = nameIn(request.getBody());
    if (name == null) return fail(400, "BAD_BODY", "expected {\"name\":\"ann\"}");
    return Reply.newBuilder()
        .setBody(body(Map.of("hello", name)))
        // Without a target it goes to the session that has asked. A Target with uids or groups reaches others.
        .addPushes(
            Push.newBuilder().setRoute("onGreet").setBody(body(Map.of("text", "welcome, " + name))))
        // A login binds the session to a uid, which the gateway then sends with each message of the player:
        // .setPatch(Patch.newBuilder().setUid(name))
        .build();
  }

  /** null: it is not in the body. */
  private static String nameIn(ByteString body) {
    try {
      JsonObject fields = GSON.fromJson(body.toStringUtf8(), JsonObject.class);
      boolean isThere = fields != null && fields.get("name") instanceof JsonPrimitive value && value.isString();
      String name = isThere ? fields.get("name").getAsString() : "";
      return name.isEmpty() ? null : name;
    } catch (JsonParseException e) {
      return null;
    }
  }

  private static Body body(Object value) {
    return Body.newBuilder().setBytes(ByteString.copyFromUtf8(GSON.toJson(value))).build();
  }

  /** What the client gets as {"code":400,"reason":"BAD_BODY","msg":"…"}. */
  private static Reply fail(int code, String reason, String text) {
    Error error = Error.newBuilder().setCode(code).setReason(reason).setMessage(text).build();
    return Reply.newBuilder().setError(error).build();
  }

  /** Listens on ADDR (host:port) until SIGTERM or Ctrl-C. */
  public static void main(String[] args) throws Exception {
    String address = System.getenv().getOrDefault("ADDR", "127.0.0.1:9000");
    int colon = address.lastIndexOf(':');
    String host = address.substring(0, colon);
    int port = Integer.parseInt(address.substring(colon + 1));
    Server server =
        NettyServerBuilder.forAddress(new InetSocketAddress(host, port)).addService(new Hello()).build().start();
    Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(server)));
    System.out.println("hello: listening on " + host + ":" + server.getPort());
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
