package javafx.scene.robot;

import javafx.geometry.Point2D;

public final class Robot {
    public native Point2D getMousePosition();
}
