package javafx.animation;

import javafx.event.ActionEvent;
import javafx.event.EventHandler;
import javafx.util.Duration;

public abstract class AnimationTimer {
    public abstract void handle(long now);
    public native void start();
    public native void stop();
}

public abstract class Animation {
    public native void play();
    public native void playFromStart();
    public native void stop();
    public final native void setOnFinished(EventHandler<ActionEvent> work);
}

public final class PauseTransition extends Animation {
    public PauseTransition(Duration duration) {}
}
