package javafx.scene.control;

import javafx.collections.ObservableList;
import javafx.event.ActionEvent;
import javafx.event.Event;
import javafx.event.EventHandler;
import javafx.event.EventTarget;
import javafx.scene.Node;
import javafx.scene.Parent;
import javafx.scene.layout.Pane;
import javafx.stage.Modality;
import javafx.stage.Window;

public abstract class Control extends Parent {}

public class Label extends Control {
    public Label() {}
    public Label(String text) {}
    public final native void setText(String text);
}

public class Slider extends Control {}

public abstract class TextInputControl extends Control {
    public final native String getText();
    public native void setText(String text);
    public final native void setEditable(boolean value);
    public final native void setPromptText(String text);
}

public class TextField extends TextInputControl {
    public TextField(String text) {}
    public final native void setPrefColumnCount(int value);
}

public class TextArea extends TextInputControl {
    public TextArea(String text) {}
    public final native void setPrefColumnCount(int value);
    public final native void setPrefRowCount(int value);
}

public final class ButtonType {
    public static final ButtonType OK = null;
    public static final ButtonType CANCEL = null;
    public ButtonType(String text) {}
    public ButtonType(String text, ButtonBar.ButtonData data) {}
    public final native String getText();
}

public class ButtonBar extends Control {
    public enum ButtonData {
        OTHER, YES, NO, OK_DONE, CANCEL_CLOSE
    }
}

public class DialogPane extends Pane {
    public final native void setContent(Node content);
    public final native ObservableList<ButtonType> getButtonTypes();
}

public class Dialog<R> implements EventTarget {
    public Dialog() {}
    public final native DialogPane getDialogPane();
    public final native void setResizable(boolean value);
    public final native void setTitle(String title);
    public final native void setHeaderText(String text);
    public final native void setContentText(String text);
    public final native void initOwner(Window owner);
    public final native void initModality(Modality modality);
    public final native void setOnHidden(EventHandler<DialogEvent> work);
    public final native R getResult();
    public final native void show();
    public final native void close();
}

public class DialogEvent extends Event {
    DialogEvent() {
        super(null);
    }
}

public class Alert extends Dialog<ButtonType> {
    public enum AlertType {
        NONE, INFORMATION, WARNING, CONFIRMATION, ERROR
    }
    public Alert(AlertType type) {}
    public Alert(AlertType type, String text, ButtonType... buttons) {}
}

public class TextInputDialog extends Dialog<String> {
    public TextInputDialog() {}
}

public class ToggleGroup {}

public class MenuItem implements EventTarget {
    public MenuItem(String text) {}
    public final native String getText();
    public final native void setText(String text);
    public final native void setDisable(boolean value);
    public final native void setMnemonicParsing(boolean value);
    public final native void setOnAction(EventHandler<ActionEvent> work);
}

public class SeparatorMenuItem extends MenuItem {
    public SeparatorMenuItem() {
        super(null);
    }
}

public class CheckMenuItem extends MenuItem {
    public CheckMenuItem(String text) {
        super(text);
    }
    public final native boolean isSelected();
    public final native void setSelected(boolean value);
}

public class RadioMenuItem extends MenuItem {
    public RadioMenuItem(String text) {
        super(text);
    }
    public final native void setSelected(boolean value);
    public final native void setToggleGroup(ToggleGroup group);
}

public class Menu extends MenuItem {
    public Menu(String text) {
        super(text);
    }
    public final native ObservableList<MenuItem> getItems();
    public final native void setOnShowing(EventHandler<Event> work);
}
