package aging;

import io.grpc.ServerServiceDefinition;
import io.grpc.Status;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.ServerCalls;
import io.grpc.stub.StreamObserver;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import pith.v1.BackendFrame;
import pith.v1.BackendGrpc;
import pith.v1.BackendHello;
import pith.v1.Body;
import pith.v1.GatewayFrame;
import pith.v1.Reply;
import pith.v1.Request;
import pith.v1.ToBackend;
import pith.v1.ToGateway;

/**
 * A backend as stock grpc-java makes it, for test/slow: what test/backends/aging-go is in Go. Answers with the
 * request's body after the route's last segment in milliseconds; connections reach their age after MAX_AGE_MS and
 * are cut MAX_GRACE_MS later, where these are set.
 */
public final class Aging extends BackendGrpc.BackendImplBase {
  private static final ScheduledExecutorService LATER = Executors.newScheduledThreadPool(1);

  private static long waitMs(Request request) {
    String route = request.getRoute();
    try {
      return Long.parseLong(route.substring(route.lastIndexOf('.') + 1));
    } catch (NumberFormatException e) {
      return 0;
    }
  }

  private static Reply reply(Request request) {
    return Reply.newBuilder().setBody(Body.newBuilder().setBytes(request.getBody())).build();
  }

  @Override
  public void handle(Request request, StreamObserver<Reply> answer) {
    LATER.schedule(
        () -> {
          answer.onNext(reply(request));
          answer.onCompleted();
        },
        waitMs(request),
        TimeUnit.MILLISECONDS);
  }

  @Override
  public StreamObserver<ToBackend> link(StreamObserver<ToGateway> out) {
    System.out.println("link opened");
    send(out, BackendFrame.newBuilder().setHello(BackendHello.newBuilder().setInstance("aging")));
    return new StreamObserver<>() {
      @Override
      public void onNext(ToBackend message) {
        for (GatewayFrame frame : message.getFramesList()) {
          if (!frame.hasRequest()) continue;
          var answer = BackendFrame.newBuilder().setId(frame.getId()).setReply(reply(frame.getRequest()));
          LATER.schedule(() -> send(out, answer), waitMs(frame.getRequest()), TimeUnit.MILLISECONDS);
        }
      }

      @Override
      public void onError(Throwable error) {
        System.out.println("link lost: " + Status.fromThrowable(error));
      }

      @Override
      public void onCompleted() {
        out.onCompleted();
      }
    };
  }

  // A stream takes one frame at a time.
  private static void send(StreamObserver<ToGateway> out, BackendFrame.Builder frame) {
    synchronized (out) {
      out.onNext(ToGateway.newBuilder().addFrames(frame).build());
    }
  }

  public static void main(String[] args) throws Exception {
    var aging = new Aging();
    // The same under a name that mode: method may call: test/backends/aging-proto.
    String name = "aging.v1.Backend";
    var handle = BackendGrpc.getHandleMethod().toBuilder().setFullMethodName(name + "/Handle").build();
    var own = ServerServiceDefinition.builder(name).addMethod(handle, ServerCalls.asyncUnaryCall(aging::handle)).build();
    var builder =
        NettyServerBuilder.forAddress(new InetSocketAddress("127.0.0.1", 0)).addService(aging).addService(own);
    String age = System.getenv("MAX_AGE_MS");
    if (age != null) {
      Duration grace = Duration.ofMillis(Long.parseLong(System.getenv("MAX_GRACE_MS")));
      builder.maxConnectionAge(Long.parseLong(age), TimeUnit.MILLISECONDS);
      builder.maxConnectionAgeGrace(grace.toMillis(), TimeUnit.MILLISECONDS);
    }
    var server = builder.build().start();
    System.out.println("listening on 127.0.0.1:" + server.getPort());
    server.awaitTermination();
  }
}
