"""A FastAPI application; pyoci finds the `app` object and starts uvicorn."""

from fastapi import FastAPI
from pydantic import BaseModel, Field

app = FastAPI()


class Order(BaseModel):
    item: str
    count: int = Field(gt=0)


@app.get("/")
def index() -> dict[str, str]:
    return {"hello": "fastapi"}


@app.post("/orders")
def order(order: Order) -> dict[str, str]:
    return {"ordered": f"{order.count} x {order.item}"}
