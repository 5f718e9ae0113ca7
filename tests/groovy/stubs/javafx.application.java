package javafx.application;

public final class Platform {
    private Platform() {}
    public static native boolean isFxApplicationThread();
    public static native void runLater(Runnable work);
}
